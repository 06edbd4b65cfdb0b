"""Task names and what a task file says of itself, without lm-eval."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from harness.catalog.data import DataFile
from harness.errors import Problem, SpecError
from harness.located import read_text, yaml_problem
from harness.paths import PACKAGE
from harness.yaml_loaders import BoundedLoader, FastBoundedLoader, TooLargeError

TASKS_DIR = PACKAGE / "score" / "tasks"
GENERATIVE = "generate_until"
"""lm-eval's name for tasks whose answers are generated; the others compare likelihoods."""
Value = TypeVar("Value")
OWN, LM_EVAL = "own", "lm_eval"
"""The suites of a user's tasks, unless they name another, and of lm-eval's."""
MOST_INCLUDED = 50
"""A task file that includes more, one of another, is refused."""
MOST_FILES = 20_000
"""A folder that holds more, such as a home directory, is not searched for tasks."""
FAULTS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""How reading a file that is no task can end."""
LM_EVALS_STOP = "\n\n"
"""Where a generated answer ends if its task says nothing of that: lm-eval's `fewshot_delimiter`."""


class _Plain(BoundedLoader):
    """Reads a task file without running what it names."""


class _Fast(FastBoundedLoader or BoundedLoader):  # type: ignore[misc]
    """The same, faster."""


class _Ours(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads a task file that comes with the harness: ten times as fast, without the guards that a stranger's needs."""


for _loader in (_Plain, _Fast, _Ours):
    _loader.add_multi_constructor(
        "!", lambda loader, suffix, node: f"!{suffix} {node.value if isinstance(node, yaml.ScalarNode) else ''}"
    )


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
    for path in sorted(_yaml_files(folder)):
        raw = _read(path)
        if isinstance(raw, dict) and isinstance(raw.get("task"), str):
            yield path, raw


def _yaml_files(folder: Path) -> Iterator[Path]:
    """The YAML files below a folder. Raises SpecError for one that holds too much to be a folder of tasks."""
    seen = 0
    for parent, folders, names in os.walk(folder):
        seen += len(folders) + len(names)
        if seen > MOST_FILES:
            message = f"holds more than {MOST_FILES:,} files; name the folder of your task files alone"
            raise SpecError([Problem(str(folder), 0, "", message)])
        yield from (Path(parent, name) for name in names if name.endswith(".yaml"))


@lru_cache
def _read_ours(path: Path) -> Any:
    return yaml.load(path.read_bytes(), Loader=_Ours)  # noqa: S506 - _Ours is a safe loader


def _read(path: Path) -> Any:
    if TASKS_DIR in path.parents:
        return _read_ours(path)
    text = read_text(path, str(path))
    try:
        return _loaded(text)
    except yaml.MarkedYAMLError as error:
        problem = yaml_problem(error, str(path))
    except FAULTS as error:
        problem = Problem(str(path), 0, "", "can't be read: " + str(error).partition("\n")[0])
    raise SpecError([problem])


def _loaded(text: str) -> Any:
    """As the safe loaders that these are."""
    try:
        return yaml.load(text, Loader=_Fast)  # noqa: S506
    except TooLargeError:
        raise
    except FAULTS:  # which the other one tells in the same words with and without libyaml
        return yaml.load(text, Loader=_Plain)  # noqa: S506


def tasks_in(folder: Path) -> dict[str, Task]:
    """The tasks that the YAML files below a folder define, by name.

    Raises SpecError for a file that is no YAML, and for a name that two files give.
    """
    found: dict[str, Task] = {}
    twice: list[Problem] = []
    for path, raw in _task_files(folder):
        task = found.setdefault(raw["task"], _task(path, raw))
        if task.path != path:
            twice.append(Problem(str(path), 0, "task", f"{task.name!r} is the task of {task.path}, too; rename one"))
    if twice:
        raise SpecError(twice)
    return found


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


def _given(path: Path, raw: dict[str, Any], key: str, kind: type[Value]) -> Value | None:
    """A file's own value, else that of a file that it includes; of several, the last one's, as with lm-eval."""
    return _found(path, raw, key, kind, {})


def _found(
    path: Path, raw: dict[str, Any], key: str, kind: type[Value], known: dict[Path, Value | None]
) -> Value | None:
    """As `_given`. known: what each file gave that was looked into before, None while it is being looked into."""
    if isinstance(value := raw.get(key), kind):
        return value
    named = raw.get("include") or []
    files = [path.parent / str(name) for name in (named if isinstance(named, list) else [named])]
    if gone := [file for file in files if not os.path.isfile(file)]:
        raise SpecError([Problem(str(path), 0, "include", f"{file} is not there") for file in gone])
    for file in map(Path.resolve, files):
        if file not in known:
            if len(known) >= MOST_INCLUDED:
                raise SpecError([Problem(str(path), 0, "include", f"leads to more than {MOST_INCLUDED} files")])
            known[file], content = None, _read(file)
            known[file] = _found(file, content, key, kind, known) if isinstance(content, dict) else None
    return next((value for file in reversed(files) if (value := known[file.resolve()]) is not None), None)


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
