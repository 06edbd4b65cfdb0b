"""Which tasks an experiment means."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.catalog.benchmarks import OWN_FILE, Benchmark, benchmarks, own_benchmarks
from harness.catalog.lm_eval_tasks import lm_eval_index
from harness.catalog.tasks import Task, suite_of, tasks, tasks_in
from harness.errors import Problem, SpecError, first, nearest
from harness.located import Located, Path_

MOST_HINTS = 10
"""So many unknown tasks are answered with the nearest one."""


@dataclass(frozen=True)
class Asked:
    """The tasks that an experiment asks for, and each one's suite."""

    benchmark: Benchmark
    suites: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """What a report must know beside the tasks' names, as plain JSON values."""
        return {"title": self.benchmark.title, "weights": self.benchmark.weights, "suites": self.suites}


@dataclass(frozen=True)
class Own:
    """What a user's folder of task files holds; file: where its benchmarks are written, if there are any."""

    tasks: dict[str, Task] = field(default_factory=dict)
    benchmarks: dict[str, Benchmark] = field(default_factory=dict)
    file: Path | None = None


def resolve_tasks(located: Located, problems: list[Problem]) -> Asked:
    """The experiment's tasks in order; what is wrong with their names is added to `problems`."""
    own = _own(located, problems)
    found = _asked(located, own, problems)
    return Asked(found, {task: suite_of(task, own.tasks) for task in found.tasks})


def _asked(located: Located, own: Own, problems: list[Problem]) -> Benchmark:
    asked = located.data.get("tasks")
    if isinstance(asked, str):
        return _benchmark(asked, located, own, problems)
    if asked == []:
        problems.append(located.problem(("tasks",), "must not be empty"))
    names = [name for name in asked if isinstance(name, str)] if isinstance(asked, list) else []
    _check_names(((name, ("tasks", index)) for index, name in enumerate(names)), own, located, problems)
    experiment = str(located.data.get("name"))
    return Benchmark(experiment, experiment, tuple(dict.fromkeys(names)))


def _benchmark(asked: str, located: Located, own: Own, problems: list[Problem]) -> Benchmark:
    known = benchmarks() | own.benchmarks
    if asked in known:
        return known[asked]
    names = {*known, *(f"[{name}]" for name in (*tasks(), *own.tasks))}
    problems.append(located.problem(("tasks",), f"unknown benchmark {asked!r}, {nearest(asked, names)}"))
    return Benchmark(asked, asked, ())


def _own(located: Located, problems: list[Problem]) -> Own:
    folder = located.data.get("tasks_path")
    if not isinstance(folder, str):
        return Own()
    if not os.path.isdir(folder):
        problems.append(located.problem(("tasks_path",), f"{folder} is no directory"))
        return Own()
    try:
        return own_tasks(Path(folder), problems)
    except SpecError as error:
        problems += error.problems
        return Own()


def own_tasks(folder: Path, problems: list[Problem]) -> Own:
    """What a user's folder of task files holds; what is wrong with names there is added to `problems`.

    Raises SpecError for a file that is no YAML.
    """
    own = Own(tasks_in(folder), file=folder / OWN_FILE)
    problems += [_taken(task) for name, task in own.tasks.items() if name in tasks()]
    return replace(own, benchmarks=_own_benchmarks(folder, own, problems))


def _taken(task: Task) -> Problem:
    return Problem(str(task.path), 0, "task", f"{task.name!r} is a task of the harness; choose another name")


def _own_benchmarks(folder: Path, own: Own, problems: list[Problem]) -> dict[str, Benchmark]:
    found, located = own_benchmarks(folder, problems)
    for name in found:
        asked = located.data[name]["tasks"]
        named = [(task, task) for task in asked] if isinstance(asked, dict) else enumerate(asked)
        _check_names(((task, (name, "tasks", key)) for key, task in named), own, located, problems)
    return found


def _check_names(asked: Iterable[tuple[str, Path_]], own: Own, located: Located, problems: list[Problem]) -> None:
    """Tells the names that are no task's. lm-eval knows so many that the nearest is only looked for a few times."""
    unknown = ((name, place) for name, place in asked if not _is_task(name, own))
    problems += first(
        located.problem(place, _not_a_task(name, own, hint=number < MOST_HINTS))
        for number, (name, place) in enumerate(unknown)
    )


def _is_task(name: str, own: Own) -> bool:
    return name in tasks() or name in own.tasks or lm_eval_names().get(name) == "task"


def _not_a_task(name: str, own: Own, hint: bool) -> str:
    if name in benchmarks() or name in own.benchmarks:
        return f"{name!r} is a benchmark: write `tasks: {name}`"
    if name in lm_eval_names():
        return f"{name!r} is a {lm_eval_names()[name]} of lm-eval's: list its tasks"
    told = f"unknown task {name!r}"
    return f"{told}, {nearest(name, {*tasks(), *own.tasks, *lm_eval_names()})}" if hint else told


@lru_cache
def lm_eval_names() -> dict[str, str]:
    """What lm-eval's own names mean (`task`, `group` or `tag`), read off its files without importing it."""
    return {name: named.kind for name, named in lm_eval_index().items()}
