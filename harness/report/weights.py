"""Every pair of a board's rows of one seed: what is known of these trained weights, and not of their methods."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from harness.report.evidence import Evidence
from harness.report.groups import Matrix, outcomes_on_common_items
from harness.report.rows import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 60
"""Rows whose pairs are shown, the best first: 1,770 pairs."""


def weights_matrix(
    rows: Sequence[Row], tasks: Sequence[str], weights: Sequence[float], evidence: Evidence, unit: float
) -> Matrix | None:
    """Compares the rows of one seed, or of none, that have an average, on the items that all of them share.

    rows: by rank; unit: by what outcomes are multiplied to be shown. Holm's p-values are over these pairs. None where
    there are no two such rows, or the outcomes of single items aren't recorded.
    """
    import numpy

    from harness.report.statistics.holm import holm
    from harness.report.statistics.paired import compare

    compared = [row for row in rows if row.average is not None and row.seeds <= 1][:MOST]
    tables = _tables(compared, tasks, evidence) if len(compared) > 1 else None
    if tables is None:
        return None
    shape = (len(compared), len(compared))
    difference, low, high, p_value, adjusted = (numpy.full(shape, numpy.nan) for _ in range(5))
    wins = numpy.zeros(shape, int)
    for a, b in combinations(range(len(compared)), 2):
        found = compare([table[a] for table in tables], [table[b] for table in tables], weights)
        if found.ci_low is None or found.ci_high is None or found.p_value is None:
            continue  # nothing ever varied
        wins[a, b], wins[b, a] = found.wins, found.losses
        difference[a, b], low[a, b], high[a, b] = (
            unit * value for value in (found.difference, found.ci_low, found.ci_high)
        )
        difference[b, a], low[b, a], high[b, a] = -difference[a, b], -high[a, b], -low[a, b]
        p_value[a, b] = p_value[b, a] = found.p_value
    first, second = numpy.triu_indices(len(compared), 1)
    adjusted[first, second] = adjusted[second, first] = holm(p_value[first, second])
    return Matrix(
        rows=tuple(compared),
        difference=difference,
        low=low,
        high=high,
        p_value=p_value,
        adjusted=adjusted,
        wins=wins,
        seeds=numpy.ones(shape, int),
        items=sum(table.shape[2] for table in tables),
    )


def _tables(rows: Sequence[Row], tasks: Sequence[str], evidence: Evidence) -> list[NDArray] | None:
    """Each task's outcomes (rows, 1, items) on common items."""
    import numpy

    tables = []
    for task in tasks:
        on_common = outcomes_on_common_items([row.run_ids for row in rows], task, evidence)
        if on_common is None:
            return None
        tables.append(numpy.stack([found[:, places] for found, places in zip(*on_common, strict=True)]))
    return tables
