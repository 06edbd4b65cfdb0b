"""`harness tasks`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from harness.catalog.benchmarks import Benchmark, benchmarks
from harness.catalog.tasks import Task, suite_of
from harness.catalog.tasks import tasks as known_tasks
from harness.cli.main import Settings
from harness.cli.options import as_json, load, print_json
from harness.errors import Problem, SpecError
from harness.spec.task_names import Own, own_tasks


@click.group()
def tasks() -> None:
    """The tasks and benchmarks that an experiment can name."""


@tasks.command("list")
@click.argument("place", required=False, metavar="[SPEC|DIR]")
@as_json
@click.pass_obj
def list_tasks(settings: Settings, place: str | None, as_json: bool) -> None:
    """List benchmarks with their tasks: each one's suite, its weight where they differ, and where it is from.

    With an experiment, or a folder of task files (what `tasks_path` names), its own tasks and benchmarks come first.
    Beside all these, every task of lm-eval can be named.
    """
    own = _own(settings, place) if place else Own()
    boards = own.benchmarks | benchmarks()
    if as_json:
        listed = [_task(task) for task in (own.tasks | known_tasks()).values()]
        print_json({"tasks": listed, "benchmarks": [_board(board, own) for board in boards.values()]})
        return
    for line in _lines(boards, own):
        click.echo(line)


def _own(settings: Settings, place: str) -> Own:
    """What a folder holds, or the folder that an experiment names. Raises SpecError for what is wrong with it."""
    if not Path(place).is_dir():
        named = load(settings, place, None).file.tasks_path
        if named is None:
            return Own()
        place = named
    problems: list[Problem] = []
    found = own_tasks(Path(place), problems)
    if problems:
        raise SpecError(problems)
    return found


def _task(task: Task) -> dict[str, Any]:
    """A task as JSON; `path` is its file."""
    return {
        "task": task.name,
        "title": task.title,
        "suite": task.suite,
        "version": task.version,
        "output_type": task.output_type,
        "path": str(task.path),
    }


def _board(board: Benchmark, own: Own) -> dict[str, Any]:
    """A benchmark as JSON; `weights` is empty where all tasks weigh the same, `path` null for one of the harness."""
    return {
        "benchmark": board.name,
        "title": board.title,
        "tasks": list(board.tasks),
        "weights": board.weights,
        "suites": {task: suite_of(task, own.tasks) for task in board.tasks},
        "path": str(own.file) if board.name in own.benchmarks else None,
    }


def _lines(boards: dict[str, Benchmark], own: Own) -> Iterator[str]:
    """A line for each benchmark and each of its tasks, then the user's tasks that are in none."""
    for board in boards.values():
        source = f" ({own.file})" if board.name in own.benchmarks else ""
        yield f"{board.name}: {board.title}{source}"
        yield from (_line(task, own, board.weights.get(task)) for task in board.tasks)
    alone = own.tasks.keys() - {task for board in boards.values() for task in board.tasks}
    if alone:
        yield "in no benchmark:"
        yield from (_line(task, own, None) for task in sorted(alone))


def _line(task: str, own: Own, weight: float | None) -> str:
    told = [suite_of(task, own.tasks)] + ([f"weight {weight:g}"] if weight is not None else [])
    told += [str(own.tasks[task].path)] if task in own.tasks else []
    return f"  {task} ({', '.join(told)})"
