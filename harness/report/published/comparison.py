"""What `harness report --published` tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.errors import NotFoundError, nearest
from harness.report.leaderboard import leaderboards
from harness.report.published.alone import Alone, alone
from harness.report.published.beside import BesideRow, BesideTable, Ours, beside, measured
from harness.store.published.records import Claim, Publication, PublishedTable
from harness.store.store import Store


@dataclass(frozen=True)
class Comparison:
    """Published tables beside our rows, and what the publications claim in words, by their titles.

    alone: our rows on these tables' tasks that stand beside none of theirs; current: whether the numbers are those
    that this version of the harness brings.
    """

    tables: tuple[BesideTable, ...]
    alone: tuple[Alone, ...]
    claims: tuple[tuple[str, Claim], ...]
    current: bool

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        claims = [{"title": title, **claim.model_dump()} for title, claim in self.claims]
        tables, alone = ([each.to_json() for each in found] for found in (self.tables, self.alone))
        return {"tables": tables, "alone": alone, "claims": claims, "current": self.current}


def comparison(
    store: Store,
    *,
    experiment: str | None = None,
    benchmark: str | None = None,
    model: str | None = None,
    max_params: int | None = None,
) -> Comparison:
    """Every published row that matches, beside the nearest row of ours.

    A name that published tables have chooses among these; one that our runs have chooses among our runs; one that both
    have does both. max_params: as for `leaderboards`. Raises NotFoundError for a name that neither has.
    """
    publications = store.publications()
    asked = {"experiment": experiment, "benchmark": benchmark, "model": model}
    theirs = {kind: _known(publications, kind) & {name} for kind, name in asked.items() if name is not None}
    ours = {kind: name for kind, name in asked.items() if name is not None and name in _ours(store, kind)}
    for kind, name in asked.items():
        if name is not None and not theirs[kind] and kind not in ours:
            known = _known(publications, kind) | _ours(store, kind)
            raise NotFoundError(f"unknown {kind} {name!r}, {nearest(name, known)}")

    def wanted(table: PublishedTable) -> bool:
        return all(getattr(table, kind) in names for kind, names in theirs.items() if names)

    found = measured(store, leaderboards(store, **ours, max_params=max_params, published=False))
    tables = beside(publications, found, wanted)
    shown = {table.source.key for table in tables}
    claims = tuple(
        (each.source.title, claim) for each in publications if each.source.key in shown for claim in each.claims
    )
    return Comparison(tables, alone(publications, tables, found), claims, store.published_current())


def _known(publications: Iterable[Publication], kind: str) -> set[str]:
    return {name for each in publications for table in each.tables if (name := getattr(table, kind)) is not None}


def _ours(store: Store, kind: str) -> set[str]:
    if kind == "model":
        return {run.model for run in store.runs()}
    return {names[kind == "benchmark"] for names in store.benchmarks()}


def records(found: Comparison) -> Iterator[dict[str, Any]]:
    """One flat mapping for each published number of each row (a task's, the average), None where there is none.

    printed: the number; published: what ours is compared with, for an average over a part of its tasks their mean.
    """
    for table in found.tables:
        about = {"source": table.source.key}
        about |= table.table.model_dump(include={"table", "experiment", "model", "benchmark"})
        for row in table.rows:
            values: dict[str, float | None] = {**row.row.scores, "average": row.row.average}
            first = {**about, "label": row.row.label, "method": row.row.method}
            for quantity, value in values.items():
                numbers = _compared(row.ours, quantity)
                yield {**first, "quantity": quantity, "printed": value, **numbers, **_about(row)}


def _compared(ours: Ours | None, quantity: str) -> dict[str, Any]:
    number = None if ours is None else ours.average if quantity == "average" else ours.scores[quantity]
    plain = {} if number is None else number.to_json()
    return {key: plain.get(key) for key in ("published", "ours", "difference", "ci_low", "ci_high", "inside")}


def _about(row: BesideRow) -> dict[str, Any]:
    """Which row of ours it is."""
    ours = row.ours
    return {
        "our_label": ours and ours.label,
        "our_model": ours and ours.model,
        "our_benchmark": ours and ours.benchmark,
        "seeds": ours and ours.seeds,
        "departures": ours and "; ".join(map(str, ours.departures)),
        "not_told": ours and "; ".join(ours.not_told),
        "doubts": "; ".join(row.doubts),
        "run_ids": ours and " ".join(ours.run_ids),
    }
