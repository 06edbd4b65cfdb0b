"""Which tasks a run still lacks a score for."""

from __future__ import annotations

from harness.catalog.tasks import tasks as known_tasks
from harness.pipeline.task_now import TasksNow
from harness.spec.run import RunSpec
from harness.store.records import RunState


def due(run: RunSpec, state: RunState | None, now: TasksNow | None = None) -> tuple[str, ...]:
    """The run's tasks that have no score as they are now: the recorded fingerprints are of other files.

    Where a task's files aren't here, a score of the version that comes with the harness counts; of a task of
    lm-eval's own, any. now: what was looked at before.
    """
    now = now or TasksNow()
    return tuple(task for task in run.tasks if state is None or not _is_scored(task, run, state, now))


def outdated(run: RunSpec, state: RunState | None, now: TasksNow | None = None) -> tuple[str, ...]:
    """Those of them that have a score of what they were before."""
    return tuple(task for task in due(run, state, now) if state is not None and task in state.scored)


def _is_scored(task: str, run: RunSpec, state: RunState, now: TasksNow) -> bool:
    scored = state.scored.get(task, frozenset())
    if not scored:
        return False
    fingerprint = now.fingerprint(task, run.score.tasks_path)
    if fingerprint is not None:
        return fingerprint in {recorded for _, recorded in scored}
    return task not in known_tasks() or known_tasks()[task].version in {version for version, _ in scored}
