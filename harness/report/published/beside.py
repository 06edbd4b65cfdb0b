"""Published numbers beside ours: for each published row the row of ours that comes nearest to its recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from harness.catalog.benchmarks import benchmarks
from harness.report.board import Leaderboard
from harness.report.estimates import Average, TaskValue
from harness.report.published.adapters import same_adapter
from harness.report.published.doubts import doubts_of
from harness.report.published.recipe import Departure, compared, recipe_of
from harness.report.rows import Row
from harness.spec.run import RunSpec
from harness.store.published.records import Publication, PublishedRow, PublishedTable, Recipe, Source
from harness.store.store import Store


@dataclass(frozen=True)
class Number:
    """A published number and ours of the same tasks, with our 95 % interval; None where there is none."""

    published: float | None
    ours: float | None
    ci_low: float | None
    ci_high: float | None

    @property
    def difference(self) -> float | None:
        """Ours less the published one."""
        return None if self.published is None or self.ours is None else self.ours - self.published

    @property
    def inside(self) -> bool | None:
        """Whether the published number lies in our interval."""
        if self.published is None or self.ci_low is None or self.ci_high is None:
            return None
        return self.ci_low <= self.published <= self.ci_high

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**vars(self), "difference": self.difference, "inside": self.inside}


@dataclass(frozen=True)
class Measured:
    """A row of one of our boards, and the specification that its runs share but for the seed."""

    row: Row
    board: Leaderboard
    spec: RunSpec


@dataclass(frozen=True)
class Ours:
    """A row of ours beside a published one.

    scores: by column of the published table; average: over all tasks of our benchmark, which may be a part of the
    published one; departures: from the published recipe; not_told: fields of ours of which the source says nothing.
    """

    label: str
    model: str
    benchmark: str
    seeds: int
    run_ids: tuple[str, ...]
    scores: dict[str, Number]
    average: Number
    departures: tuple[Departure, ...]
    not_told: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        scores = {task: number.to_json() for task, number in self.scores.items()}
        return vars(self) | {
            "run_ids": list(self.run_ids),
            "scores": scores,
            "average": self.average.to_json(),
            "departures": [dict(vars(departure)) for departure in self.departures],
            "not_told": list(self.not_told),
        }


@dataclass(frozen=True)
class BesideRow:
    """A published row with its doubts and the recipe that is told of it; ours: the nearest, of so many `matches`."""

    row: PublishedRow
    recipe: Recipe
    doubts: tuple[str, ...]
    ours: Ours | None
    matches: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        row = self.row.model_dump(mode="json", include={"label", "method", "adapter", "data_percent", "quoted_from"})
        printed = self.row.model_dump(mode="json", include={"scores", "average", "params_percent", "trainable_params"})
        recipe = self.recipe.model_dump(mode="json", exclude_none=True)
        ours = None if self.ours is None else self.ours.to_json()
        return {**row, "published": printed, "recipe": recipe, "doubts": list(self.doubts), "ours": ours}


@dataclass(frozen=True)
class BesideTable:
    """A published table whose rows stand beside ours."""

    source: Source
    table: PublishedTable
    rows: tuple[BesideRow, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        about = self.table.model_dump(mode="json", include={"table", "model", "benchmark", "experiment"})
        source = {"source": self.source.key, "title": self.source.title, "url": self.source.url}
        return {**source, **about, "rows": [row.to_json() for row in self.rows]}


def beside(
    publications: Sequence[Publication],
    found: Sequence[Measured],
    wanted: Callable[[PublishedTable], bool] = lambda table: True,
) -> tuple[BesideTable, ...]:
    """Every published table that is wanted, in order, beside these rows of ours."""
    return tuple(
        BesideTable(publication.source, table, _rows(publications, publication, table, found))
        for publication in publications
        for table in publication.tables
        if wanted(table)
    )


def with_published(store: Store, boards: Sequence[Leaderboard]) -> tuple[Leaderboard, ...]:
    """The boards, each with the published tables that have a task in common with it, beside its own rows."""
    publications = store.publications()
    return tuple(replace(board, published=_published(store, publications, board)) for board in boards)


def _published(store: Store, publications: Sequence[Publication], board: Leaderboard) -> tuple[dict[str, Any], ...]:
    if not any(shares(table, board) for publication in publications for table in publication.tables):
        return ()
    tables = beside(publications, measured(store, [board]), lambda table: shares(table, board))
    return tuple(table.to_json() for table in tables)


def measured(store: Store, boards: Iterable[Leaderboard]) -> list[Measured]:
    """The rows of these boards."""
    found = [(row, board) for board in boards for row in board.rows]
    runs = {run.run_id: run for run in store.runs(list(dict.fromkeys(row.run_ids[0] for row, _ in found)))}
    return [Measured(row, board, RunSpec.model_validate(runs[row.run_ids[0]].spec)) for row, board in found]


def _tasks(table: PublishedTable) -> frozenset[str]:
    """The full names of all tasks of the table's benchmark."""
    ours = benchmarks().get(table.benchmark)
    columns = (column for row in table.rows for column in row.scores)
    return frozenset(ours.tasks if ours else map(table.task, columns))


def shares(table: PublishedTable, board: Leaderboard) -> bool:
    """Whether they have a task in common."""
    return not _tasks(table).isdisjoint(board.tasks)


def _rows(
    publications: Sequence[Publication], publication: Publication, table: PublishedTable, found: Sequence[Measured]
) -> tuple[BesideRow, ...]:
    shared = [each for each in found if shares(table, each.board)]
    recipes = (recipe_of(publications, publication, table, row) for row in table.rows)
    return tuple(_row(row, table, told, shared) for row, told in zip(table.rows, recipes, strict=True))


def _row(row: PublishedRow, table: PublishedTable, told: Recipe, found: Sequence[Measured]) -> BesideRow:
    ours = [_ours(row, table, told, each) for each in found if _asks_the_same(row, table, each)]
    nearest = min(ours, key=lambda each: _distance(each, table), default=None)
    return BesideRow(row, told, doubts_of(row), nearest, len(ours))


def _distance(ours: Ours, table: PublishedTable) -> tuple[bool, int, int, str]:
    """What makes ours the nearest: never how well it did."""
    return ours.model != table.model, len(ours.departures), -ours.seeds, ours.run_ids[0]


def _asks_the_same(row: PublishedRow, table: PublishedTable, ours: Measured) -> bool:
    """Method, its parameters, the share of the training data; where nothing is trained, the model."""
    if not same_adapter(row, ours.spec.adapter):
        return False
    if ours.spec.data is None:
        return ours.spec.model.name == table.model
    return round(100 * ours.spec.data.fraction, 6) == row.data_percent


def _ours(row: PublishedRow, table: PublishedTable, told: Recipe, ours: Measured) -> Ours:
    departures, not_told = departs(row, table, told, ours)
    scores = {column: _number(value, ours.row.scores.get(table.task(column))) for column, value in row.scores.items()}
    return Ours(
        label=ours.row.label,
        model=ours.row.model,
        benchmark=ours.board.benchmark,
        seeds=ours.row.seeds,
        run_ids=ours.row.run_ids,
        scores=scores,
        average=_number(_published_average(row, table, ours.board), ours.row.average),
        departures=departures,
        not_told=not_told,
    )


def departs(
    row: PublishedRow, table: PublishedTable, told: Recipe, ours: Measured
) -> tuple[tuple[Departure, ...], tuple[str, ...]]:
    """In what ours departs from the tasks and the recipe that is told of a row; and what is not told."""
    departures, not_told = compared(row, table, told, ours.spec, ours.row.seeds)
    if _tasks(table) != set(ours.board.tasks):
        departures = (Departure("tasks", ours.board.benchmark, table.benchmark), *departures)
    return departures, not_told


def _published_average(row: PublishedRow, table: PublishedTable, board: Leaderboard) -> float | None:
    """The published average over our benchmark's tasks: as printed where they are all, else their scores' mean."""
    if board.weights:
        return None
    if _tasks(table) == set(board.tasks):
        return row.average
    printed = {table.task(column): value for column, value in row.scores.items()}
    return fmean(printed[task] for task in board.tasks) if printed.keys() >= set(board.tasks) else None


def _number(published: float | None, ours: Average | TaskValue | None) -> Number:
    if ours is None:
        return Number(published, None, None, None)
    return Number(published, ours.value, ours.ci_low, ours.ci_high)
