"""Checking a file of published numbers: every problem in it at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from harness.catalog.benchmarks import benchmarks
from harness.catalog.tasks import tasks
from harness.errors import Problem, SpecError, nearest
from harness.located import Located, Path_, read_yaml
from harness.paths import builtin_dir
from harness.spec.problems import problems_of
from harness.spec.resolve import MIXED
from harness.store.published.records import Publication, PublishedRow, PublishedTable


def read_publication(path: Path) -> Publication:
    """The numbers of one file.

    Raises SpecError with every problem in it: unknown and missing fields, values out of range, methods, benchmarks and
    tasks that the harness does not have.
    """
    located = read_yaml(path)
    try:
        found = Publication.model_validate(located.data)
    except ValidationError as error:
        raise SpecError(problems_of(error.errors(), located, Publication)) from None
    methods = {MIXED, *(file.stem for file in builtin_dir("adapters").glob("*.yaml"))}
    problems = [
        problem for index, table in enumerate(found.tables) for problem in _unknown(table, index, methods, located)
    ]
    if found.source.key != path.stem:
        problems.append(located.problem(("source", "key"), f"must be the file's name {path.stem!r}"))
    if problems:
        raise SpecError(problems)
    return found


def _unknown(table: PublishedTable, index: int, methods: set[str], located: Located) -> Iterator[Problem]:
    place: Path_ = ("tables", index)
    suites = {task.suite for task in tasks().values()}
    ours = table.suite in suites
    if ours and table.benchmark not in benchmarks():
        hint = nearest(table.benchmark, benchmarks())
        yield located.problem((*place, "benchmark"), f"unknown benchmark {table.benchmark!r}, {hint}")
    for number, row in enumerate(table.rows):
        here: Path_ = (*place, "rows", number)
        if row.method not in methods:
            hint = nearest(row.method, methods)
            yield located.problem((*here, "method"), f"unknown method {row.method!r}, {hint}")
        yield from _scores(table, row, here, located) if ours else ()


def _scores(table: PublishedTable, row: PublishedRow, place: Path_, located: Located) -> Iterator[Problem]:
    """Scores of tasks that we don't have, and an average over a part of a benchmark."""
    if table.benchmark not in benchmarks():
        return
    asked = benchmarks()[table.benchmark].tasks
    columns = {task.removeprefix(f"{table.suite}_") for task in asked}
    for column in row.scores.keys() - columns:
        hint = nearest(column, columns)
        yield located.problem((*place, "scores", column), f"no task of {table.benchmark}, {hint}")
    if row.scores and (missing := [task for task in asked if task.removeprefix(f"{table.suite}_") not in row.scores]):
        yield located.problem((*place, "scores"), f"lacks {', '.join(missing)}")
