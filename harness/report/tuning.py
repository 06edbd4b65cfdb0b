"""What tuning tried, and what it chose: by experiment, from the validation scores in the database alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from harness.errors import NotFoundError
from harness.report.statistics.best import expected_best
from harness.spec.tuning import METRICS, VALIDATION, best_of
from harness.store.records import MembershipRecord
from harness.store.store import Store

Scores = Mapping[str, Mapping[str, float]]
"""By run id, the validation scores by metric."""


@dataclass(frozen=True)
class TriedPoint:
    """One point. loss (nats a token), accuracy (a fraction): means over its runs, None where one of them lacks it.

    error: of the first run that failed; ended: whether all of its runs have.
    """

    values: dict[str, Any]
    run_ids: tuple[str, ...]
    loss: float | None
    accuracy: float | None
    error: str | None
    ended: bool


@dataclass(frozen=True)
class TunedRow:
    """The points of one row in the order of `select.over`.

    chosen: the place of the best; None while any has to end, and where none has a value.
    """

    label: str
    method: str
    model: str
    by: str
    points: tuple[TriedPoint, ...]
    chosen: int | None

    @property
    def values(self) -> list[float | None]:
        """What decides, point by point."""
        return [getattr(point, METRICS[self.by]) for point in self.points]

    @property
    def curve(self) -> list[float]:
        """The expected best after 1, 2, ... of the points that have a value."""
        return expected_best([v for v in self.values if v is not None], lowest=self.by == "validation_loss")


@dataclass(frozen=True)
class TunedExperiment:
    """An experiment's tuned rows. superseded: runs that it tried or chose before and does not ask for any more."""

    experiment: str
    profile: str
    rows: tuple[TunedRow, ...]
    superseded: int


def tuned_experiments(
    store: Store, *, experiment: str | None = None, benchmark: str | None = None, model: str | None = None
) -> list[TunedExperiment]:
    """The experiments that match and tune, the latest registered first. Raises NotFoundError where there is none."""
    places = [place for place in store.memberships(experiment) if benchmark in (None, place.benchmark)]
    names = dict.fromkeys((place.experiment, place.profile) for place in places if place.role == "tuning")
    found = [_experiment(store, *name, [p for p in places if (p.experiment, p.profile) == name]) for name in names]
    kept = [each for each in found if model is None or any(row.model == model for row in each.rows)]
    if not kept:
        about = {"experiment": experiment, "benchmark": benchmark, "model": model}
        wanted = ", ".join(f"{kind} {name!r}" for kind, name in about.items() if name is not None)
        raise NotFoundError(f"nothing was tuned{' for ' if wanted else ''}{wanted}; see select in docs/experiments.md")
    return kept


def _experiment(store: Store, name: str, profile: str, places: Sequence[MembershipRecord]) -> TunedExperiment:
    trying = [place for place in places if place.role == "tuning"]
    ids = [place.run_id for place in trying]
    runs = {run.run_id: run for run in store.runs(ids)}
    scores: dict[str, dict[str, float]] = {run_id: {} for run_id in ids}
    for score in store.scores(ids):
        if score.task == VALIDATION:
            scores[score.run_id][score.metric] = score.value
    errors = {run_id: f"{run.kind}: {run.error}" for run_id, run in runs.items() if run.status == "failed"}
    rows = tuple(
        _row(label, by, runs[next(iter(points.values()))[1][0]], points.values(), scores, errors)
        for (label, _, by), points in _grouped(trying).items()
    )
    return TunedExperiment(name, profile, rows, sum(place.role == "superseded" for place in places))


def _grouped(
    places: Iterable[MembershipRecord],
) -> dict[tuple[str, str, str], dict[str, tuple[dict[str, Any], list[str]]]]:
    """By row (label, key, by) and point, its values and the runs that try it."""
    found: dict[tuple[str, str, str], dict[str, tuple[dict[str, Any], list[str]]]] = {}
    for place in places:
        about = place.tuning or {}
        for group in about["groups"]:
            points = found.setdefault((group["label"], group["key"], about["by"]), {})
            points.setdefault(json.dumps(group["point"]), (group["point"], []))[1].append(place.run_id)
    return found


def _row(
    label: str,
    by: str,
    first: Any,
    points: Iterable[tuple[dict[str, Any], list[str]]],
    scores: Scores,
    errors: Mapping[str, str],
) -> TunedRow:
    tried = tuple(_point(values, ids, scores, errors) for values, ids in points)
    found = [getattr(point, METRICS[by]) for point in tried]
    chosen = best_of(found, by) if all(point.ended for point in tried) else None
    return TunedRow(label, first.method, first.model, by, tried, chosen)


def _point(values: dict[str, Any], ids: Sequence[str], scores: Scores, errors: Mapping[str, str]) -> TriedPoint:
    def mean(metric: str) -> float | None:
        known = [scores[run_id][metric] for run_id in ids if metric in scores[run_id]]
        return fmean(known) if len(known) == len(ids) else None

    error = next((errors[run_id] for run_id in ids if run_id in errors), None)
    ended = all(scores[run_id] or run_id in errors for run_id in ids)
    return TriedPoint(values, tuple(ids), mean("loss"), mean("accuracy"), error, ended)
