"""Task names and what a task file says of itself, without lm-eval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from harness.catalog.data import DataFile
from harness.errors import Problem, SpecError
from harness.paths import PACKAGE

TASKS_DIR = PACKAGE / "score" / "tasks"
GENERATIVE = "generate_until"
"""lm-eval's name for tasks whose answers are generated; the others compare likelihoods."""
OWN, LM_EVAL = "own", "lm_eval"
"""The suites of a user's tasks, unless they name another, and of lm-eval's."""
DEEPEST = 10
"""So many files are followed from one to the next."""


class _Plain(yaml.SafeLoader):
    """Reads a task file without running what it names."""


_Plain.add_multi_constructor("!", lambda loader, suffix, node: f"!{suffix} {node.value}")


@dataclass(frozen=True)
class Task:
    """A scoring task: lm-eval's name, what its file's metadata says, and how it is answered."""

    name: str
    title: str
    suite: str
    version: str
    file: DataFile | None
    path: Path
    output_type: str = GENERATIVE


def _task_files(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.rglob("*.yaml")):
        raw = _read(path)
        if isinstance(raw, dict) and isinstance(raw.get("task"), str):
            yield path, raw


def _read(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Plain)  # noqa: S506 - _Plain is a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, message = mark.line + 1 if mark else 0, f"not valid YAML: {error.problem or error.context}"
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        line, message = 0, f"can't be read: {str(error).splitlines()[0]}"
    raise SpecError([Problem(str(path), line, "", message)])


def tasks_in(folder: Path) -> dict[str, Task]:
    """The tasks that the YAML files below a folder define, by name. Raises SpecError for a file that is no YAML."""
    found = {}
    for path, raw in _task_files(folder):
        about = raw.get("metadata")
        about = about if isinstance(about, dict) else {}
        file = DataFile(about["file"], about.get("sha256")) if isinstance(about.get("file"), str) else None
        found[raw["task"]] = Task(
            name=raw["task"],
            title=about.get("title", raw["task"]),
            suite=str(about.get("suite", OWN)),
            version=str(about.get("version", "")),
            file=file,
            path=path,
            output_type=_output_type(path, raw) or GENERATIVE,
        )
    return found


def _output_type(path: Path, raw: dict[str, Any], depth: int = 0) -> str | None:
    """Its own, else that of a file that it includes; of several, the last one's, as with lm-eval."""
    if isinstance(raw.get("output_type"), str):
        return raw["output_type"]
    named = raw.get("include") or []
    files = [path.parent / str(name) for name in (named if isinstance(named, list) else [named])]
    contents = [(file, _read(file)) for file in files if file.is_file() and depth < DEEPEST]
    found = [_output_type(file, content, depth + 1) for file, content in contents if isinstance(content, dict)]
    return next(filter(None, reversed(found)), None)


@lru_cache
def tasks() -> dict[str, Task]:
    """The tasks that come with the harness, by name."""
    return tasks_in(TASKS_DIR)


def task_title(name: str) -> str:
    """A task's short title for a table's head; its own name where it is none of ours."""
    return tasks()[name].title if name in tasks() else name


def suite_of(name: str, own: Mapping[str, Task] = {}) -> str:
    """The suite of a task: what its file says, else lm-eval's. Numbers of two suites don't compare."""
    task = own.get(name) or tasks().get(name)
    return task.suite if task else LM_EVAL
