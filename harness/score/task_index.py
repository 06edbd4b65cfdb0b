"""From task names to lm-eval's tasks: the built-in ones, the user's own, and lm-eval's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from datasets.exceptions import DatasetGenerationError
from jinja2 import UndefinedError
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager

from harness.errors import HarnessError, RunError, nearest
from harness.paths import PACKAGE
from harness.score.fingerprint import task_content

TASKS = PACKAGE / "score" / "tasks"
FEWSHOT_SEED = 1234


@dataclass(frozen=True)
class LoadedTask:
    """A task ready to be scored once (lm-eval changes its tasks while it uses them), and what it is made of."""

    name: str
    task: Task
    content: dict[str, Any]


def load_tasks(names: Iterable[str], tasks_path: str | None = None) -> list[LoadedTask]:
    """The tasks of these names, in order and each once; a group's or tag's name stands for its tasks.

    Raises RunError for a name that nothing answers to and for data that can't be read, PrerequisiteError
    where a built-in task's file is missing.
    """
    loaded: dict[str, LoadedTask] = {}
    for name in names:
        for task in _load(name, _manager_of(name, tasks_path)):
            loaded.setdefault(task.name, task)
    return list(loaded.values())


@cache
def _own_tasks(tasks_path: str | None) -> TaskManager:
    own = [Path(tasks_path)] if tasks_path else []
    return TaskManager(include_path=[TASKS, *own], include_defaults=False)


@cache
def _lm_eval_tasks() -> TaskManager:
    return TaskManager()


def _manager_of(name: str, tasks_path: str | None) -> TaskManager:
    # lm-eval's own index takes seconds to build, so only a name that is in no other is looked up there.
    own = _own_tasks(tasks_path)
    if name in own.task_index:
        return own
    others = _lm_eval_tasks()
    if name in others.task_index:
        return others
    close = get_close_matches(name, [*own.all_tasks, *others.all_tasks], n=1)
    raise RunError("config", f"unknown task {name!r}, {nearest(name, close or own.all_tasks)}")


def _load(name: str, manager: TaskManager) -> Iterator[LoadedTask]:
    try:
        tasks = manager.load([name])["tasks"]
    except (OSError, DatasetGenerationError) as error:
        raise RunError("data", f"{name}: its data can't be read: {_told(error.__cause__ or error)}") from error
    # lm-eval puts the first item in its template as it loads a task.
    except IndexError as error:
        raise RunError("data", f"{name} has no test items") from error
    except UndefinedError as error:
        raise RunError("data", f"{name}: its first item lacks what the task needs: {error}") from error
    except KeyError as error:
        raise RunError("config", f"{name}: no such split, column, metric or filter: {_told(error)}") from error
    except HarnessError:
        raise
    except Exception as error:
        if isinstance(error.__cause__ or error, StopIteration):  # what `datasets` makes of an empty file
            raise RunError("data", f"{name} has no test items") from error
        raise RunError("config", f"{name} can't be loaded: {type(error).__name__}: {_told(error)}") from error
    for task_name, task in tasks.items():
        if task.get_config("num_fewshot") is None:
            task.set_config("num_fewshot", 0)
        task.set_fewshot_seed(FEWSHOT_SEED)
        _check_filters(task_name, task)
        yield LoadedTask(task_name, task, _content(task_name, task, manager))


def _check_filters(name: str, task: Task) -> None:
    """Makes a task's filters once: lm-eval makes them, and finds a wrong pattern, only when all is answered."""
    for ensemble in getattr(task, "_filters", []):
        for make in ensemble.filters:
            try:
                make()
            except Exception as error:
                message = f"{name}: its filter {ensemble.name!r} can't be made: {_told(error)}"
                raise RunError("config", message) from error


def _told(error: BaseException) -> str:
    """An error's message in one line."""
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(message).split())


def _content(name: str, task: Task, manager: TaskManager) -> dict[str, Any]:
    entry = manager.task_index.get(name)
    return task_content(entry.yaml_path) if entry and entry.yaml_path else dict(task.dump_config())
