"""Rows of ours that stand beside no published row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.published.adapters import differences
from harness.report.published.beside import BesideTable, Measured, departs, shares
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
    publications: Sequence[Publication], tables: Sequence[BesideTable], found: Sequence[Measured]
) -> tuple[Alone, ...]:
    """Those of our trained rows that have tasks of a table and stand beside no row of any, in order."""
    shown = {row.ours.run_ids for table in tables for row in table.rows if row.ours is not None}
    rest = [ours for ours in found if ours.row.run_ids not in shown and ours.spec.data is not None]
    chosen = [table.table for table in tables]
    theirs = [(each, table) for each in publications for table in each.tables if table in chosen]
    return tuple(told for ours in rest if (told := _alone(publications, theirs, ours)) is not None)


def _alone(
    publications: Sequence[Publication], tables: Sequence[tuple[Publication, PublishedTable]], ours: Measured
) -> Alone | None:
    near = [(each, table) for each, table in tables if shares(table, ours.board)]
    if not near:
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
