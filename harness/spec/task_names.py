"""Which tasks an experiment means."""

from __future__ import annotations

import importlib.util
import os
import re
from functools import lru_cache
from pathlib import Path

from harness.catalog.tasks import benchmarks, tasks, tasks_in
from harness.errors import Problem, SpecError, nearest
from harness.located import Located

NAMED = re.compile(r"^(task|group|tag):[ \t]*[\"']?([\w.:/-]+)", re.MULTILINE)


def resolve_tasks(located: Located, problems: list[Problem]) -> tuple[str, ...]:
    """The experiment's tasks in order; what is wrong with their names is added to `problems`."""
    own = _own_tasks(located, problems)
    asked = located.data.get("tasks")
    if isinstance(asked, str):
        if asked in benchmarks():
            return benchmarks()[asked].tasks
        known = {*benchmarks(), *(f"[{name}]" for name in (*tasks(), *own))}
        problems.append(located.problem(("tasks",), f"unknown benchmark {asked!r}, {nearest(asked, known)}"))
        return ()
    if asked == []:
        problems.append(located.problem(("tasks",), "must not be empty"))
    names = [name for name in asked if isinstance(name, str)] if isinstance(asked, list) else []
    for index, name in enumerate(names):
        _check_name(name, index, own, located, problems)
    return tuple(dict.fromkeys(names))


def _own_tasks(located: Located, problems: list[Problem]) -> set[str]:
    folder = located.data.get("tasks_path")
    if not isinstance(folder, str):
        return set()
    if not os.path.isdir(folder):
        problems.append(located.problem(("tasks_path",), f"{folder} is no directory"))
        return set()
    try:
        return set(tasks_in(Path(folder)))
    except SpecError as error:
        problems += error.problems
        return set()


def _check_name(name: str, index: int, own: set[str], located: Located, problems: list[Problem]) -> None:
    if name in tasks() or name in own or lm_eval_names().get(name) == "task":
        return
    if name in benchmarks():
        message = f"{name!r} is a benchmark: write `tasks: {name}`"
    elif name in lm_eval_names():
        message = f"{name!r} is a {lm_eval_names()[name]} of lm-eval's: list its tasks"
    else:
        message = f"unknown task {name!r}, {nearest(name, {*tasks(), *own, *lm_eval_names()})}"
    problems.append(located.problem(("tasks", index), message))


@lru_cache
def lm_eval_names() -> dict[str, str]:
    """What lm-eval's own names mean (`task`, `group` or `tag`), read off its files without importing it."""
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or spec.origin is None:
        return {}
    files = (Path(spec.origin).parent / "tasks").rglob("*.yaml")
    texts = [file.read_text(encoding="utf-8", errors="ignore") for file in files]
    found = [(name, kind) for text in texts for kind, name in NAMED.findall(text)]
    return dict(found) | {name: kind for name, kind in found if kind == "task"}
