"""Which rows of a board the evidence can tell apart, what it could have seen, and what would settle the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.report.evidence import Evidence
from harness.report.rows import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.report.statistics.pairs import Pairs

ALPHA = 0.05


@dataclass(frozen=True)
class OpenPair:
    """The pair of rows nearest to being told apart, and what would do it were the difference as it is estimated.

    better, worse: labels; difference: in the board's units; p_value: adjusted for all comparisons of the board;
    more_seeds: on the same items; more_items: of all tasks together, for the same seeds; None where no number would.
    """

    better: str
    worse: str
    difference: float
    p_value: float
    more_seeds: int | None
    more_items: int | None


@dataclass(frozen=True)
class Groups:
    """What the comparisons of a board's rows say about their averages.

    letters: by row key (`Row.run_ids`); rows that share a letter can't be told apart, rows without one weren't
    compared: they have fewer than two seeds whose outcomes are recorded for every task; detectable: the smallest true
    difference of two rows that one comparison at 5 % finds in four of five cases, in the board's units; narrowed: by
    task, how many items all rows share, where some answered others; matrix: every comparison.
    """

    letters: dict[tuple[str, ...], str]
    detectable: float | None
    open_pair: OpenPair | None
    narrowed: dict[str, int]
    matrix: Matrix | None


@dataclass(frozen=True)
class Matrix:
    """All comparisons of the rows at these places of the ranking (rows, rows): entry [a][b] is about a - b.

    differences and the bounds of their 95 % intervals are in the board's units; adjusted: Holm's p-values; wins: items
    on which a's sum over the common seeds is above b's; NaN (None in JSON) where nothing can be said: of methods where
    two rows share under two seeds.
    """

    rows: tuple[Row, ...]
    difference: NDArray
    low: NDArray
    high: NDArray
    p_value: NDArray
    adjusted: NDArray
    wins: NDArray
    seeds: NDArray
    items: int

    def is_unbeaten(self, row: Row) -> bool:
        """Whether no other row is proved to be better. The rows are by rank, so that it would stand above."""
        place = [each.run_ids for each in self.rows].index(row.run_ids)
        return not (self.adjusted[:place, place] <= ALPHA).any()

    def pair(self, first: int, second: int) -> dict[str, Any]:
        """One comparison as plain JSON values; None where it could not be made."""
        value = float(self.difference[first, second])
        if value != value:
            return dict.fromkeys(("difference", "ci_low", "ci_high", "p_value", "adjusted", "wins", "losses", "ties"))
        wins, losses = int(self.wins[first, second]), int(self.wins[second, first])
        return {
            "difference": value,
            "ci_low": float(self.low[first, second]),
            "ci_high": float(self.high[first, second]),
            "p_value": float(self.p_value[first, second]),
            "adjusted": float(self.adjusted[first, second]),
            "wins": wins,
            "losses": losses,
            "ties": self.items - wins - losses,
        }


@dataclass(frozen=True)
class _Entrant:
    """A row to be compared: its runs that have every task, and their seeds (none: the run is beside every seed)."""

    row: Row
    run_ids: tuple[str, ...]
    seeds: tuple[int, ...]


def groups(
    rows: Sequence[Row], tasks: Sequence[str], weights: Sequence[float], evidence: Evidence, unit: float
) -> Groups:
    """Compares all rows that have an average, on the seeds that two have in common and the items that all share.

    rows: by rank; unit: by what outcomes are multiplied to be shown. Of a row, those seeds count that have every task.
    The bare base has no seeds: it stands for itself beside every seed of the others.
    """
    import numpy

    from harness.report.statistics.holm import holm
    from harness.report.statistics.letters import letters
    from harness.report.statistics.pairs import compare_all, wins

    entrants = [found for row in rows if row.average is not None and (found := _entrant(row, tasks, evidence))]
    compared = [entrant.row for entrant in entrants]
    seeds = sorted({seed for entrant in entrants for seed in entrant.seeds})
    aligned = _aligned(entrants, tasks, seeds, evidence) if len(compared) > 1 and len(seeds) > 1 else None
    if aligned is None:
        return Groups({}, None, None, {}, None)
    tables, present, narrowed = aligned
    found = compare_all(tables, present, weights, ALPHA)
    first, second = numpy.triu_indices(len(compared), 1)
    adjusted = numpy.full(found.p_value.shape, numpy.nan)
    adjusted[first, second] = adjusted[second, first] = holm(found.p_value[first, second])
    matrix = Matrix(
        rows=tuple(compared),
        difference=found.difference * unit,
        low=(found.difference - found.half_width) * unit,
        high=(found.difference + found.half_width) * unit,
        p_value=found.p_value,
        adjusted=adjusted,
        wins=sum(_wins(table, present, wins) for table in tables),
        seeds=found.seeds,
        items=sum(table.shape[2] for table in tables),
    )
    displayed = letters(adjusted <= ALPHA)
    return Groups(
        letters={row.run_ids: shown for row, shown in zip(compared, displayed, strict=True)},
        detectable=_detectable(found, unit),
        open_pair=_open_pair(matrix, found, unit),
        narrowed=narrowed,
        matrix=matrix,
    )


Aligned = tuple[list["NDArray"], "NDArray", dict[str, int]]


def _entrant(row: Row, tasks: Sequence[str], evidence: Evidence) -> _Entrant | None:
    """None where the row is one training's, or what its seeds made of the items isn't recorded."""
    whole = [run_id for run_id in row.run_ids if all((run_id, task) in evidence.outcomes for task in tasks)]
    if row.is_bare:
        return _Entrant(row, tuple(whole), ()) if whole else None
    by_run = dict(zip(row.run_ids, row.seed_values)) if row.seed_values else {}
    seeds = tuple(by_run[run_id] for run_id in whole if run_id in by_run)
    return _Entrant(row, tuple(whole), seeds) if len(seeds) > 1 else None


def _aligned(
    entrants: Sequence[_Entrant], tasks: Sequence[str], seeds: Sequence[int], evidence: Evidence
) -> Aligned | None:
    """Each task's outcomes (rows, seeds, items) on common items, who has which seed, and where items are fewer."""
    import numpy

    present = numpy.array([[not each.seeds or seed in each.seeds for seed in seeds] for each in entrants])
    tables, narrowed = [], {}
    for task in tasks:
        on_common = outcomes_on_common_items([each.run_ids for each in entrants], task, evidence)
        if on_common is None:
            return None
        answers, shared = on_common
        if any(len(places) < found.shape[1] for places, found in zip(shared, answers, strict=True)):
            narrowed[task] = len(shared[0])
        table = numpy.zeros((len(entrants), len(seeds), len(shared[0])), numpy.result_type(*answers))
        for index, (each, found, places) in enumerate(zip(entrants, answers, shared, strict=True)):
            own = [each.seeds.index(seed) if each.seeds else 0 for seed, has in zip(seeds, present[index]) if has]
            table[index, present[index]] = found[own][:, places]
        tables.append(table)
    return tables, present, narrowed


def outcomes_on_common_items(
    sides: Sequence[Sequence[str]], task: str, evidence: Evidence
) -> tuple[list[NDArray], list[Sequence[int]]] | None:
    """Each side's outcomes of a task (runs, items), and where in them those items stand that all sides have.

    sides: the run ids of each. None where outcomes aren't recorded, or the sides have no item in common.
    """
    answers = [evidence.answers(task, run_ids) for run_ids in sides]
    if any(found is None for found in answers):
        return None
    keys = [evidence.items(task, run_ids[0]) for run_ids in sides]
    shared = common([list(zip(each.doc_ids, each.hashes, strict=True)) for each in keys], {k.digest for k in keys})
    return (answers, shared) if len(shared[0]) else None


def common(keys: Sequence[Sequence[tuple[int, str]]], digests: set[str]) -> list[Sequence[int]]:
    """For each list of items, where those stand that all lists have, in the first one's order."""
    if len(digests) == 1:
        return [range(len(keys[0]))] * len(keys)
    kept = [key for key in keys[0] if all(key in others for others in map(set, keys[1:]))]
    places = [{key: place for place, key in enumerate(each)} for each in keys]
    return [[found[key] for key in kept] for found in places]


def _wins(table: NDArray, present: NDArray, wins: Any) -> NDArray:
    """Wins on the seeds that all rows have; where rows differ in seeds, pair by pair on those of the two."""
    import numpy

    if present.all():
        return wins(table)
    found = numpy.zeros((len(table), len(table)), int)
    for first in range(len(table)):
        for second in range(first):
            shared = present[first] & present[second]
            if shared.any():
                pair = wins(table[[first, second]][:, shared])
                found[first, second], found[second, first] = pair[0, 1], pair[1, 0]
    return found


def _detectable(found: Pairs, unit: float) -> float | None:
    from harness.report.statistics.settling import detectable

    noise = found.typical()
    value = None if noise is None else detectable(noise) * unit
    return value if value is not None and 0 < value < float("inf") else None


def _open_pair(matrix: Matrix, found: Pairs, unit: float) -> OpenPair | None:
    """Of the pairs that are not told apart, the one with the smallest p-value."""
    import numpy

    from harness.report.statistics.settling import settling

    first, second = numpy.triu_indices(len(matrix.rows), 1)
    left = numpy.where(matrix.adjusted[first, second] > ALPHA, matrix.p_value[first, second], numpy.nan)
    left = numpy.where(matrix.difference[first, second] == 0, numpy.nan, left)
    if numpy.isnan(left).all():
        return None
    nearest = int(numpy.nanargmin(left))
    a, b = int(first[nearest]), int(second[nearest])
    compared = int((~numpy.isnan(matrix.p_value[first, second])).sum())
    needed = settling(matrix.difference[a, b] / unit, found.noise(a, b), matrix.items, alpha=ALPHA / compared)
    return OpenPair(
        better=matrix.rows[a].label,
        worse=matrix.rows[b].label,
        difference=float(matrix.difference[a, b]),
        p_value=float(matrix.adjusted[a, b]),
        more_seeds=needed.seeds,
        more_items=needed.items,
    )
