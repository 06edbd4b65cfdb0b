"""The rows that tuning gives a point: those that wait for it, and those that get none."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch

from harness.errors import Problem
from harness.spec.experiment import ExperimentSpec
from harness.spec.grid import tunings
from harness.spec.run import RunSpec
from harness.spec.tuning import Tried


def to_be_chosen(experiment: ExperimentSpec, done: Mapping[str, Tried], only: str | None = None) -> list[RunSpec]:
    """For each row that tuning has yet to give a point: the runs that it would have with its first one."""
    waiting = [row for row in tunings(experiment) if not row.settled(done)]
    named = [row for row in waiting if only is None or fnmatch(row.label, only)]
    return [point.run for row in named for point in row.candidates[0].runs]


def unchosen(experiment: ExperimentSpec, only: str | None, done: Mapping[str, Tried]) -> tuple[Problem, ...]:
    """The rows that tuning gives no point, each with the reason, at the entries that ask for them."""
    problems = [(row, row.problem(done)) for row in tunings(experiment) if only is None or fnmatch(row.label, only)]
    return tuple(
        experiment.located.problem(row.candidates[0].runs[0].place, f"{row.label}: {problem}")
        for row, problem in problems
        if problem
    )
