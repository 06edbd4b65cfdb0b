"""Tuning: the points that an adapter may have, the runs that try them, and which one is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from harness.spec.expansion import Point

VALIDATION = "data.validation"
"""What a run that tunes is scored on, in place of tasks: the examples that `data.validation` keeps from training."""
METRICS = {"validation_loss": "loss", "validation_accuracy": "accuracy"}
"""The metric of VALIDATION that each value of `select.by` names."""
By = Literal["validation_loss", "validation_accuracy"]


@dataclass(frozen=True)
class Tried:
    """What is recorded of a run that tries a point: its scores on the validation examples by metric, or an error."""

    scores: Mapping[str, float]
    error: str | None = None


@dataclass(frozen=True)
class Candidate:
    """One point. values: what it sets, by field; tuning: the runs that try it; runs: those that it gets if chosen."""

    values: Mapping[str, Any]
    tuning: tuple[Point, ...]
    runs: tuple[Point, ...]


@dataclass(frozen=True)
class Tuning:
    """The candidates of one row in the order of `select.over`.

    key: what the row is in the experiment whatever is tuned over: the identity of its untuned run, without a seed.
    """

    key: str
    by: By
    seeds: tuple[int, ...]
    candidates: tuple[Candidate, ...]

    @property
    def label(self) -> str:
        """How the row is called."""
        return self.candidates[0].runs[0].label

    def value(self, candidate: Candidate, tried: Mapping[str, Tried]) -> float | None:
        """The mean over its runs of what decides; None where one of them failed or has not ended."""
        found = [tried[point.run.run_id].scores for point in candidate.tuning if point.run.run_id in tried]
        metric = METRICS[self.by]
        if len(found) < len(candidate.tuning) or any(metric not in scores for scores in found):
            return None
        return fmean(scores[metric] for scores in found)

    def failed(self, tried: Mapping[str, Tried]) -> tuple[Candidate, ...]:
        """The candidates whose runs have ended, and one of them without a value."""
        ended = [each for each in self.candidates if all(point.run.run_id in tried for point in each.tuning)]
        return tuple(each for each in ended if self.value(each, tried) is None)

    def settled(self, tried: Mapping[str, Tried]) -> bool:
        """Whether every run that tunes has ended."""
        return all(point.run.run_id in tried for each in self.candidates for point in each.tuning)

    def problem(self, tried: Mapping[str, Tried]) -> str | None:
        """Why the row gets no point although all were tried; None where it has one, or may still get one."""
        if not self.settled(tried) or self.chosen(tried) is not None:
            return None
        ids = [point.run.run_id for each in self.candidates for point in each.tuning]
        error = next((f"run {run_id} {error}" for run_id in ids if (error := tried[run_id].error)), None)
        why = error or f"no validation example was measured by {METRICS[self.by]}: its answer must fit into max_length"
        return f"none of its {len(self.candidates)} points has a {self.by}: {why}; --retry-failed tries again"

    def chosen(self, tried: Mapping[str, Tried]) -> Candidate | None:
        """The candidate of the best value, of equals the first; None before all have ended, or where all failed."""
        if not self.settled(tried):
            return None
        values = [self.value(each, tried) for each in self.candidates]
        best = best_of(values, self.by)
        return None if best is None else self.candidates[best]

    def tuned(self, tried: Mapping[str, Tried]) -> tuple[Point, ...]:
        """The runs of the chosen candidate, each with what was chosen and from how many."""
        chosen = self.chosen(tried)
        if chosen is None:
            return ()
        about = {
            "key": self.key,
            "by": self.by,
            "seeds": list(self.seeds),
            "points": len(self.candidates),
            "failed": len(self.failed(tried)),
            "chosen": dict(chosen.values),
            "value": self.value(chosen, tried),
        }
        return tuple(replace(point, label=self.label, role="tuned", tuning=about) for point in chosen.runs)

    def labelled(self, label: str) -> Tuning:
        """The tuning of a row of this label."""
        return replace(self, candidates=tuple(_labelled(each, label, self) for each in self.candidates))


def best_of(values: Sequence[float | None], by: str) -> int | None:
    """The place of the best value, of equals the first; None where there is none."""
    known = [(at, value) for at, value in enumerate(values) if value is not None]
    sign = -1 if by == "validation_loss" else 1
    return max(known, key=lambda each: (sign * each[1], -each[0]))[0] if known else None


def detail(values: Mapping[str, Any]) -> str:
    """`learning_rate=0.001 r=8`."""
    shown = ((key.rpartition(".")[2], value) for key, value in values.items())
    return " ".join(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in shown)


def tuned(about: Mapping[str, Any]) -> str:
    """`learning_rate=0.001 by validation_loss 1.234, of 4 points (1 failed) with seed 100`."""
    failed = f" ({about['failed']} failed)" if about["failed"] else ""
    seeds = ("seed " if len(about["seeds"]) == 1 else "seeds ") + ", ".join(map(str, about["seeds"]))
    found = f"{about['by']} {about['value']:.4g}"
    return f"{detail(about['chosen'])} by {found}, of {about['points']} points{failed} with {seeds}"


def _labelled(candidate: Candidate, label: str, tuning: Tuning) -> Candidate:
    group = {"key": tuning.key, "label": label, "point": dict(candidate.values)}
    about = {"by": tuning.by, "groups": [group]}
    trying = f"{label} tuning {detail(candidate.values)}"
    return Candidate(
        candidate.values,
        tuple(replace(point, label=trying, role="tuning", tuning=about) for point in candidate.tuning),
        tuple(replace(point, label=label) for point in candidate.runs),
    )
