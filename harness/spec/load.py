"""From an experiment file to a checked experiment: read, extend, choose the profile, override, check."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from harness.adapters.catalogue import Catalogue, find_methods
from harness.errors import Problem, SpecError, first
from harness.located import Located
from harness.spec.entries import entry_problems, methods_of
from harness.spec.expansion import Point
from harness.spec.experiment import ExperimentSpec
from harness.spec.files import PAPER, find_experiment, question_of, read_extended, shown, with_profile
from harness.spec.grid import points
from harness.spec.matrix import axis_problems
from harness.spec.merge import assignments, merge
from harness.spec.names import name_problems
from harness.spec.problems import problems_of
from harness.spec.relative import make_absolute
from harness.spec.schema import ExperimentFile
from harness.spec.select import select_problems
from harness.spec.task_names import resolve_tasks
from harness.spec.together import together_problems


def load_experiment(
    path: str | os.PathLike[str],
    profile: str | None = None,
    overrides: Sequence[str] = (),
    definitions: Catalogue | None = None,
) -> ExperimentSpec:
    """Reads and checks an experiment.

    profile: default `$HARNESS_PROFILE`, else the file as it stands (`paper`); overrides: `a.b=value` texts,
    applied last; definitions: the methods that it may name (default: those of `find_methods`).
    Raises SpecError with every problem in the file, the files it extends, and its methods' files.
    """
    return load_points(path, profile, overrides, definitions)[0]


def load_points(
    path: str | os.PathLike[str],
    profile: str | None = None,
    overrides: Sequence[str] = (),
    definitions: Catalogue | None = None,
) -> tuple[ExperimentSpec, tuple[Point, ...]]:
    """As `load_experiment`, with the experiment's points, which it makes to find what is wrong with them."""
    file = find_experiment(Path(path))
    profile = profile or os.environ.get("HARNESS_PROFILE") or PAPER
    problems: list[Problem] = []
    changes = assignments(overrides, problems)
    make_absolute(changes.data, Path())
    located = merge(with_profile(read_extended(file, problems), profile, file, problems), changes)
    experiment = _checked(located, changes, definitions or find_methods(), profile, file, problems)
    return experiment, points(experiment)


def _checked(
    located: Located, overrides: Located, methods: Catalogue, profile: str, path: Path, problems: list[Problem]
) -> ExperimentSpec:
    """The experiment, once its shape and every name in it are found good; `problems` are those found before."""
    problems += name_problems(located)
    asked = resolve_tasks(located, problems)
    try:
        file = ExperimentFile.model_validate(located.data)
    except ValidationError as error:
        problems += problems_of(error.errors(), located, ExperimentFile)
    adapters = located.data.get("adapters")
    entries = adapters if isinstance(adapters, list) else []
    problems += first(
        problem for index, entry in enumerate(entries) for problem in entry_problems(entry, index, located, methods)
    )
    named = methods_of(entries, methods)
    problems += axis_problems(located, named, methods.methods) + select_problems(located, named)
    if problems:
        raise SpecError([*problems, *together_problems(located, overrides, problems)])
    return ExperimentSpec(file.name, profile, shown(path), file, located, overrides, methods, asked, question_of(path))
