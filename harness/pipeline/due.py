"""Which tasks a run still lacks a score for."""

from __future__ import annotations

from collections.abc import Sequence

from harness.catalog.tasks import tasks as known_tasks
from harness.store.records import RunState


def due(tasks: Sequence[str], state: RunState | None) -> tuple[str, ...]:
    """The tasks that have no score in the version that is here now.

    A task that comes with the harness says its version; of another one any recorded score counts.
    """
    return tuple(task for task in tasks if state is None or not _is_scored(task, state))


def outdated(tasks: Sequence[str], state: RunState | None) -> tuple[str, ...]:
    """Those of them that have a score in another version."""
    return tuple(task for task in due(tasks, state) if state is not None and task in state.scored)


def _is_scored(task: str, state: RunState) -> bool:
    versions = {version for version, _ in state.scored.get(task, ())}
    return known_tasks()[task].version in versions if task in known_tasks() else bool(versions)
