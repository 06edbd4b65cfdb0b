"""A checked experiment."""

from __future__ import annotations

from dataclasses import dataclass

from harness.adapters.catalogue import Catalogue
from harness.located import Located
from harness.spec.schema import ExperimentFile
from harness.spec.task_names import Asked


@dataclass(frozen=True)
class ExperimentSpec:
    """A checked experiment: a question, its grid and its tasks.

    `asked` is what it is scored on, `benchmark` the name of this set of `tasks`; `located` is the merged document
    with the place of every value, `overrides` the part of it that came from the command line.
    """

    name: str
    profile: str
    path: str
    file: ExperimentFile
    located: Located
    overrides: Located
    methods: Catalogue
    asked: Asked
    question: str

    @property
    def benchmark(self) -> str:
        """The name over which its leaderboard ranks."""
        return self.asked.benchmark.name

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks' names in order."""
        return self.asked.benchmark.tasks
