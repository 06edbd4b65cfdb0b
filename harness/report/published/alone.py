"""Rows of ours that ask what no published row does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.published.adapters import differences
from harness.report.published.beside import Measured, asks_the_same, departs, shares
from harness.report.published.recipe import Departure, recipe_of
from harness.store.published.records import Publication, PublishedRow, PublishedTable


@dataclass(frozen=True)
class Alone:
    """A row of ours on a published table's tasks, and in what it departs from the published row that is nearest.

    nearest: that row and its table, None where none has the row's method.
    """

    label: str
    model: str
    benchmark: str
    run_ids: tuple[str, ...]
    nearest: str | None
    departures: tuple[Departure, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        departures = [dict(vars(departure)) for departure in self.departures]
        return vars(self) | {"run_ids": list(self.run_ids), "departures": departures}


def alone(
    publications: Sequence[Publication], found: Sequence[Measured], wanted: Callable[[PublishedTable], bool]
) -> tuple[Alone, ...]:
    """Those of our trained rows that have tasks of a wanted table and stand beside none of its rows, in order."""
    tables = [(each, table) for each in publications for table in each.tables if wanted(table)]
    return tuple(told for ours in found if (told := _alone(publications, tables, ours)) is not None)


def _alone(
    publications: Sequence[Publication], tables: Sequence[tuple[Publication, PublishedTable]], ours: Measured
) -> Alone | None:
    near = [(each, table) for each, table in tables if shares(table, ours.board)]
    asked = any(asks_the_same(row, table, ours) for _, table in near for row in table.rows)
    if not near or asked or ours.spec.data is None:
        return None
    candidates = [
        (table.model != ours.row.model, departures, f"{row.label} ({source.source.key}, {table.table})")
        for source, table in near
        for row in table.rows
        if (departures := _departures(publications, source, table, row, ours)) is not None
    ]
    _, departures, nearest = min(candidates, key=lambda each: (each[0], len(each[1])), default=(False, (), None))
    return Alone(ours.row.label, ours.row.model, ours.board.benchmark, ours.row.run_ids, nearest, departures)


def _departures(
    publications: Sequence[Publication], source: Publication, table: PublishedTable, row: PublishedRow, ours: Measured
) -> tuple[Departure, ...] | None:
    """Parameters first, then the recipe; None where the row has another method."""
    parameters = differences(row, ours.spec.adapter)
    if parameters is None:
        return None
    departures, _ = departs(row, table, recipe_of(publications, source, table, row), ours)
    return tuple(Departure(*map(_shown, told)) for told in parameters) + departures


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, frozenset):
        return "".join(letter for letter in "QKVOGUD" if letter in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
