"""Scores of a task that has changed since are another task's: a board shows the latest version alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.report.selection import Candidate
from harness.store.records import ScoreRecord

Version = tuple[str, str]


@dataclass(frozen=True)
class TaskVersions:
    """The version and fingerprint of each task that a board shows."""

    latest: dict[str, Version]

    def current(self, run: Candidate) -> Iterator[ScoreRecord]:
        """The run's scores of the versions shown."""
        return (score for score in run.scores if self.latest[score.task] == (score.version, score.fingerprint))

    def main(self, run: Candidate) -> dict[str, ScoreRecord]:
        """The run's score of each task's main metric."""
        return {score.task: score for score in self.current(run) if score.position == 0}

    def outdated(self, runs: Sequence[Candidate]) -> dict[str, int]:
        """For each task, how many runs have a score of another version only."""
        counts: dict[str, int] = {}
        for run in runs:
            for task in {score.task for score in run.scores} - set(self.main(run)):
                counts[task] = counts.get(task, 0) + 1
        return counts


def task_versions(runs: Sequence[Candidate]) -> TaskVersions:
    """The version of each task under which the latest run was scored."""
    latest: dict[str, Version] = {}
    for run in sorted(runs, key=lambda candidate: candidate.moment):
        for score in run.scores:
            latest[score.task] = (score.version, score.fingerprint)
    return TaskVersions(latest)
