"""Expanding an experiment into its runs."""

from __future__ import annotations

from harness.errors import SpecError
from harness.spec.expansion import Expansion, Point
from harness.spec.experiment import ExperimentSpec
from harness.spec.labels import labelled
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
    if not found and not expansion.problems:
        message = "excludes every run of the experiment"
        expansion.problems.append(experiment.located.problem(("matrix", "exclude"), message))
    if expansion.problems:
        raise SpecError(expansion.problems)
    return labelled(tuple(found.values()), experiment)
