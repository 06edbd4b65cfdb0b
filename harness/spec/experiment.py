"""A checked experiment."""

from __future__ import annotations

from dataclasses import dataclass

from harness.adapters.catalogue import Catalogue
from harness.located import Located
from harness.spec.schema import ExperimentFile


@dataclass(frozen=True)
class ExperimentSpec:
    """A checked experiment: a question, its grid and its tasks.

    `benchmark` names the set of `tasks`; `located` is the merged document with the place of every value,
    `overrides` the part of it that came from the command line.
    """

    name: str
    profile: str
    path: str
    file: ExperimentFile
    located: Located
    overrides: Located
    methods: Catalogue
    benchmark: str
    tasks: tuple[str, ...]
    question: str
