"""Expanding an experiment into its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.errors import Problem, SpecError
from harness.spec.candidates import TunedExpansion
from harness.spec.expansion import Expansion, Point
from harness.spec.experiment import ExperimentSpec
from harness.spec.files import PAPER
from harness.spec.labels import labelled
from harness.spec.run import RunSpec
from harness.spec.tuning import Tried, Tuning

NOTHING: Mapping[str, Tried] = {}
"""What is known before anything was tried."""


def expand(experiment: ExperimentSpec) -> tuple[RunSpec, ...]:
    """The experiment's runs in order, each with its ids; points that are equal after expansion are one run.

    Under `select` these are the runs that tune; what they choose is known once they are done: see `points`.
    """
    return tuple(point.run for point in points(experiment))


def points(experiment: ExperimentSpec, tried: Mapping[str, Tried] = NOTHING) -> tuple[Point, ...]:
    """The experiment's runs with their labels: by matrix value, then adapter, then seed.

    tried: what is recorded of the runs that tune, by run_id. Where all of an adapter's are there, the runs of the
    point that they choose follow them. Raises SpecError with every value that can't be.
    """
    found: dict[str, Point] = {}
    for row in rows(experiment):
        for point in (row,) if isinstance(row, Point) else (*_trying(row), *row.tuned(tried)):
            known = found.setdefault(point.run.run_id, point)
            if known is not point and known.role == point.role == "tuning":
                found[point.run.run_id] = _joined(known, point)
    return tuple(found.values())


def tunings(experiment: ExperimentSpec) -> tuple[Tuning, ...]:
    """The rows whose point is chosen."""
    return tuple(row for row in rows(experiment) if isinstance(row, Tuning)) if experiment.file.select else ()


def rows(experiment: ExperimentSpec) -> tuple[Point | Tuning, ...]:
    """The experiment's points and tunings in order, with their labels. Raises SpecError as `points` does."""
    select, found = experiment.file.select, dict[Any, Point | Tuning]()
    expansion = TunedExpansion(experiment, select) if select else Expansion(experiment)
    for row in expansion.rows():
        found.setdefault(row.run.run_id if isinstance(row, Point) else _ids(row), row)
    if not found and not expansion.problems:
        message = "excludes every run of the experiment"
        expansion.problems.append(experiment.located.problem(("matrix", "exclude"), message))
    if expansion.problems:
        raise SpecError(list(dict.fromkeys(expansion.problems)))
    heads = tuple(row if isinstance(row, Point) else row.candidates[0].runs[0] for row in found.values())
    named = zip(found.values(), labelled(heads, experiment), strict=True)
    return tuple(head if isinstance(row, Point) else row.labelled(head.label) for row, head in named)


def idle_rules(experiment: ExperimentSpec) -> list[Problem]:
    """The rules of `exclude` that take out no point of the experiment as it stands.

    At another scale, or changed on the command line, an experiment may have no use for a rule.
    """
    if not experiment.file.matrix.get("exclude") or experiment.profile != PAPER or experiment.overrides.data:
        return []
    select = experiment.file.select
    expansion = TunedExpansion(experiment, select) if select else Expansion(experiment)
    for _ in expansion.rows():
        pass
    places = (("matrix", "exclude", index) for index in expansion.idle_rules())
    return [experiment.located.problem(place, "takes out no point") for place in places]


def _ids(tuning: Tuning) -> tuple[str, ...]:
    return tuple(point.run.run_id for candidate in tuning.candidates for point in candidate.runs)


def _trying(tuning: Tuning) -> list[Point]:
    return [point for candidate in tuning.candidates for point in candidate.tuning]


def _joined(first: Point, second: Point) -> Point:
    """A run that tries a point of two rows, which are scored differently."""
    assert first.tuning is not None and second.tuning is not None
    return replace(first, tuning=first.tuning | {"groups": first.tuning["groups"] + second.tuning["groups"]})
