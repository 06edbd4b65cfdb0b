"""What a task is now, to be compared with what was scored."""

from __future__ import annotations

from pathlib import Path

from harness.catalog.tasks import FAULTS, Task, tasks, tasks_in
from harness.errors import HarnessError
from harness.score.fingerprint import task_content, task_fingerprint


class TasksNow:
    """The fingerprints of tasks as their files stand; each is looked at once."""

    def __init__(self) -> None:
        self._own: dict[str, dict[str, Task]] = {}
        self._known: dict[tuple[str, str | None], str | None] = {}

    def fingerprint(self, name: str, tasks_path: str | None) -> str | None:
        """None where it can't be told: of lm-eval's own tasks, and where a file of the task isn't here."""
        key = name, tasks_path
        if key not in self._known:
            self._known[key] = self._fingerprint(*key)
        return self._known[key]

    def _fingerprint(self, name: str, tasks_path: str | None) -> str | None:
        try:
            task = tasks().get(name) or self._in(tasks_path).get(name)
            return None if task is None else task_fingerprint(task_content(task.path))
        except (HarnessError, OSError, *FAULTS):
            return None

    def _in(self, tasks_path: str | None) -> dict[str, Task]:
        if tasks_path is None:
            return {}
        if tasks_path not in self._own:
            self._own[tasks_path] = tasks_in(Path(tasks_path))
        return self._own[tasks_path]
