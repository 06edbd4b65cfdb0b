"""Benchmarks: the named sets of tasks that come with the harness, and a user's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.errors import Problem, first, nearest
from harness.located import Located, read_yaml
from harness.paths import PACKAGE

OWN_FILE = "benchmarks.yaml"
"""Beside a user's task files: benchmarks of their own."""
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
FIELDS = ("title", "tasks")
HEAVIEST = 1e6


@dataclass(frozen=True)
class Benchmark:
    """A named set of tasks; weights: each task's share in the average, empty where all weigh the same."""

    name: str
    title: str
    tasks: tuple[str, ...]
    weights: dict[str, float] = field(default_factory=dict)


@lru_cache
def benchmarks() -> dict[str, Benchmark]:
    """The benchmarks that come with the harness, by name."""
    located = read_yaml(PACKAGE / "catalog" / OWN_FILE)
    return {name: _benchmark(name, raw) for name, raw in located.data.items()}


def own_benchmarks(folder: Path, problems: list[Problem]) -> tuple[dict[str, Benchmark], Located]:
    """The benchmarks that a folder of task files brings along, and where they are written.

    What is wrong with the file's form is added to `problems`; whether its tasks exist is not looked at. Raises
    SpecError for a file that is no YAML mapping.
    """
    file = folder / OWN_FILE
    if not file.is_file():
        return {}, Located({})
    located = read_yaml(file)
    faults = first(problem for name, raw in located.data.items() for problem in _faults(name, raw, located))
    problems += faults
    return {} if faults else {name: _benchmark(name, raw) for name, raw in located.data.items()}, located


def _benchmark(name: str, raw: dict[str, Any]) -> Benchmark:
    asked = raw["tasks"]
    weights = {task: float(weight) for task, weight in asked.items()} if isinstance(asked, dict) else {}
    weights = weights if len(set(weights.values())) > 1 else {}
    return Benchmark(name, raw.get("title", name), tuple(dict.fromkeys(asked)), weights)


def _faults(name: str, raw: Any, located: Located) -> Iterator[Problem]:
    if not NAME.match(name):
        yield located.problem((name,), "must be a name of letters, digits, '.', '_' and '-'")
    if name in benchmarks():
        yield located.problem((name,), f"{name!r} is a benchmark of the harness; choose another name")
    if not isinstance(raw, dict):
        yield located.problem((name,), f"must be a mapping of {' and '.join(FIELDS)}, got {raw!r}")
        return
    for key in raw:
        if key not in FIELDS:
            yield located.problem((name, key), f"unknown field, {nearest(key, FIELDS)}")
    if not isinstance(raw.get("title", ""), str):
        yield located.problem((name, "title"), f"must be a text, got {raw['title']!r}")
    yield from _task_faults(name, raw.get("tasks"), located)


def _task_faults(name: str, asked: Any, located: Located) -> Iterator[Problem]:
    place = (name, "tasks")
    if not isinstance(asked, (list, dict)) or not asked:
        yield located.problem(place, f"must be a list of task names, or a mapping of them to weights, got {asked!r}")
    elif isinstance(asked, dict):
        for task, weight in asked.items():
            if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not 0 < weight <= HEAVIEST:
                message = f"must be a weight above 0 and at most {HEAVIEST:,.0f}, got {weight!r}"
                yield located.problem((*place, task), message)
    else:
        for index, task in enumerate(asked):
            if not isinstance(task, str):
                yield located.problem((*place, index), f"must be a text, got {task!r}")
