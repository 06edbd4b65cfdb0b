"""Expanding an experiment into its runs."""

from __future__ import annotations

from harness.errors import SpecError
from harness.spec.expansion import Expansion, Point, parts_of
from harness.spec.experiment import ExperimentSpec
from harness.spec.labels import labelled
from harness.spec.matrix import axis_problems
from harness.spec.run import RunSpec


def expand(experiment: ExperimentSpec) -> tuple[RunSpec, ...]:
    """The experiment's runs in order, each with its ids; points that are equal after expansion are one run."""
    return tuple(point.run for point in points(experiment))


def points(experiment: ExperimentSpec) -> tuple[Point, ...]:
    """The experiment's runs with their labels: by matrix value, then adapter, then seed.

    Raises SpecError with every value that can't be.
    """
    expansion, found = Expansion(experiment), dict[str, Point]()
    for point in expansion.points():
        found.setdefault(point.run.run_id, point)
    if expansion.problems:
        raise SpecError(expansion.problems)
    return labelled(tuple(found.values()), experiment)


def check_grid(experiment: ExperimentSpec) -> None:
    """Raises SpecError with every problem of the matrix and the runs that it makes."""
    parts = [part for entry in experiment.file.adapters for part in parts_of(entry)]
    params = {name for part in parts for name in experiment.methods.method(part["method"]).params}
    problems = axis_problems(experiment.located, params)
    if problems:
        raise SpecError(problems)
    points(experiment)
