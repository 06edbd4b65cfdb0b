"""Task names and what a task file says of itself, without lm-eval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from harness.catalog.data import DataFile
from harness.errors import Problem, SpecError
from harness.paths import PACKAGE

TASKS_DIR = PACKAGE / "score" / "tasks"
GENERATIVE = "generate_until"
"""lm-eval's name for tasks whose answers are generated; the others compare likelihoods."""
Value = TypeVar("Value")
OWN, LM_EVAL = "own", "lm_eval"
"""The suites of a user's tasks, unless they name another, and of lm-eval's."""
DEEPEST = 10
"""So many files are followed from one to the next."""
LM_EVALS_STOP = "\n\n"
"""Where a generated answer ends if its task says nothing of that: lm-eval's `fewshot_delimiter`."""


class _Plain(yaml.SafeLoader):
    """Reads a task file without running what it names."""


_Plain.add_multi_constructor("!", lambda loader, suffix, node: f"!{suffix} {node.value}")


@dataclass(frozen=True)
class Task:
    """A scoring task: lm-eval's name, what its file's metadata says, and how it is answered.

    stops: the texts that end a generated answer.
    """

    name: str
    title: str
    suite: str
    version: str
    file: DataFile | None
    path: Path
    output_type: str = GENERATIVE
    stops: tuple[str, ...] = ()


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
    return {raw["task"]: _task(path, raw) for path, raw in _task_files(folder)}


def task_of(path: Path) -> Task | None:
    """The task that one YAML file defines, by whatever name; None where it defines none. Raises SpecError."""
    raw = _read(path)
    return _task(path, raw) if isinstance(raw, dict) and isinstance(raw.get("task"), str) else None


def _task(path: Path, raw: dict[str, Any]) -> Task:
    about = raw.get("metadata")
    about = about if isinstance(about, dict) else {}
    output_type = _given(path, raw, "output_type", str) or GENERATIVE
    return Task(
        name=raw["task"],
        title=about.get("title", raw["task"]),
        suite=str(about.get("suite", OWN)),
        version=str(about.get("version", "")),
        file=DataFile(about["file"], about.get("sha256")) if isinstance(about.get("file"), str) else None,
        path=path,
        output_type=output_type,
        stops=_stops(path, raw) if output_type == GENERATIVE else (),
    )


def _stops(path: Path, raw: dict[str, Any]) -> tuple[str, ...]:
    kwargs = _given(path, raw, "generation_kwargs", dict) or {}
    named = kwargs.get("until", _given(path, raw, "fewshot_delimiter", str) or LM_EVALS_STOP) or []
    return tuple(map(str, named if isinstance(named, list) else [named]))


def _given(path: Path, raw: dict[str, Any], key: str, kind: type[Value], depth: int = 0) -> Value | None:
    """A file's own value, else that of a file that it includes; of several, the last one's, as with lm-eval."""
    if isinstance(value := raw.get(key), kind):
        return value
    named = raw.get("include") or []
    files = [path.parent / str(name) for name in (named if isinstance(named, list) else [named])]
    if gone := [file for file in files if not file.is_file()]:
        raise SpecError([Problem(str(path), 0, "include", f"{file} is not there") for file in gone])
    contents = [(file, _read(file)) for file in files if depth < DEEPEST]
    found = [_given(file, content, key, kind, depth + 1) for file, content in contents if isinstance(content, dict)]
    return next((value for value in reversed(found) if value is not None), None)


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


def beams_fault(task: str, stops: Sequence[str]) -> str:
    """Why a task with stop strings can't be asked by beam search in batches.

    lm-eval tracks stop strings by rows of the batch, of which beam search has several for each item: one item's stop
    string would cut the others' answers.
    """
    return (
        f"{task}: beams and the task's stop strings {list(stops)} only go together one item at a time; "
        "set score.batch_size: 1 or decoding: greedy"
    )
