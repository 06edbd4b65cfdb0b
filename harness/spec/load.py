"""From an experiment file to a checked experiment: read, extend, choose the profile, override, check."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.adapters.catalogue import Catalogue, find_methods
from harness.catalog.data import data_set
from harness.catalog.models import model_entry
from harness.catalog.prompts import prompt
from harness.errors import NotFoundError, Problem, SpecError
from harness.located import Located
from harness.spec.entries import entry_problems
from harness.spec.experiment import ExperimentSpec
from harness.spec.files import PAPER, find_experiment, question_of, read_extended, shown, with_profile
from harness.spec.grid import check_grid
from harness.spec.merge import assignments, merge
from harness.spec.problems import problems_of
from harness.spec.schema import ExperimentFile
from harness.spec.task_names import resolve_tasks

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
    file = find_experiment(Path(path))
    profile = profile or os.environ.get("HARNESS_PROFILE") or PAPER
    changes = assignments(overrides)
    located = merge(with_profile(read_extended(file), profile, file), changes)
    experiment = _checked(located, changes, definitions or find_methods(), profile, file)
    check_grid(experiment)
    return experiment


def _checked(
    located: Located, overrides: Located, methods: Catalogue, profile: str, path: Path
) -> ExperimentSpec:
    """The experiment, once its shape and every name in it are found good."""
    problems = _name_problems(located)
    tasks = resolve_tasks(located, problems)
    try:
        file = ExperimentFile.model_validate(located.data)
    except ValidationError as error:
        problems += problems_of(error, located, ExperimentFile)
    adapters = located.data.get("adapters")
    for index, entry in enumerate(adapters if isinstance(adapters, list) else []):
        problems += entry_problems(entry, index, located, methods)
    if problems:
        raise SpecError(problems)
    benchmark = file.tasks if isinstance(file.tasks, str) else file.name
    return ExperimentSpec(
        file.name, profile, shown(path), file, located, overrides, methods, benchmark, tasks, question_of(path)
    )


def _name_problems(located: Located) -> list[Problem]:
    """Names of the catalog that don't exist: the base model, the training data, the prompt."""
    problems = []
    checks = ((("base", "model"), model_entry), (("data", "train"), data_set), (("prompt",), prompt))
    for place, find in checks:
        value: Any = located.data
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        try:
            if isinstance(value, str) and value:
                find(value)
        except NotFoundError as error:
            problems.append(located.problem(place, str(error)))
    return problems
