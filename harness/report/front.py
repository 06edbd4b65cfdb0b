"""Which rows of a leaderboard no cheaper one beats: the Pareto front of accuracy and a cost, with its uncertainty."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from harness.report.axes import Axis
from harness.report.board import Leaderboard
from harness.report.groups import ALPHA
from harness.report.rows import Row


class Standing(Enum):
    """Where a row stands to those that cost no more."""

    PROVED = "on the front, proved"
    FRONT = "on the front"
    BEHIND = "behind it"
    BEATEN = "beaten, proved"


ON_THE_FRONT = (Standing.PROVED, Standing.FRONT)
MEANING = {
    Standing.PROVED: "every row that costs no more is provably less accurate",
    Standing.FRONT: "no row that costs no more is as accurate, by the estimates; the evidence can't separate them all",
    Standing.BEHIND: "a row that costs no more is as accurate or more so, by the estimates alone",
    Standing.BEATEN: "a row that costs no more is provably more accurate",
}


@dataclass(frozen=True)
class Place:
    """A row on the plane of accuracy and cost.

    cost: in the axis's unit; standing: None where cost or average isn't known; rival: the most accurate of the rows
    that beat it, or that can't be told apart from it.
    """

    label: str
    cost: float | None
    average: float | None
    ci_low: float | None
    ci_high: float | None
    standing: Standing | None
    rival: str | None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self) | {"standing": None if self.standing is None else self.standing.value}


def front(board: Leaderboard, axis: Axis) -> tuple[Place, ...]:
    """Each row's place, the cheapest first; rows of unknown cost last.

    A row dominates another that costs no less and is no more accurate, and that it beats in one of both (Pareto). That
    one is more accurate than the other is proved where the board's comparisons say so (paired, Holm; one seed proves
    nothing about methods). Costs are taken as they were measured. Boards whose metric falls are read accordingly.
    """
    plane = _Plane(board, axis)
    order = sorted(
        range(len(board.rows)),
        key=lambda i: (board.rows[i] not in plane.rows, axis.effort(board.rows[i]) or 0.0, i),
    )
    return tuple(plane.place(board.rows[i]) for i in order)


class _Plane:
    """The rows of a board that have both an average and a cost."""

    def __init__(self, board: Leaderboard, axis: Axis) -> None:
        self._axis, self._matrix = axis, board.matrix
        self.rows = [row for row in board.rows if row.average is not None and axis.effort(row) is not None]
        compared = board.matrix.rows if board.matrix else ()
        self._compared = {row.run_ids: at for at, row in enumerate(compared)}

    def place(self, row: Row) -> Place:
        """Where a row of the board stands."""
        average = row.average
        standing, rival = self._standing(row) if row in self.rows else (None, None)
        return Place(
            label=row.label,
            cost=self._axis.spent(row),
            average=None if average is None else average.value,
            ci_low=None if average is None else average.ci_low,
            ci_high=None if average is None else average.ci_high,
            standing=standing,
            rival=None if rival is None else rival.label,
        )

    def _standing(self, row: Row) -> tuple[Standing, Row | None]:
        cheap = [other for other in self.rows if other is not row and self._effort(other) <= self._effort(row)]
        best_first = sorted(cheap, key=lambda other: other.rank or 0)
        for other in best_first:
            if self._proved(other, row):
                return Standing.BEATEN, other
        for other in best_first:
            if _ranks(other, row) and (self._effort(other) < self._effort(row) or _ranks(other, row, strictly=True)):
                return Standing.BEHIND, other
        for other in best_first:
            if not self._proved(row, other):
                return Standing.FRONT, other
        return Standing.PROVED, None

    def _effort(self, row: Row) -> float:
        effort = self._axis.effort(row)
        assert effort is not None, "only rows of known cost are compared"
        return effort

    def _proved(self, better: Row, worse: Row) -> bool:
        """Whether the board's comparisons show the first row to be more accurate."""
        first, second = self._compared.get(better.run_ids), self._compared.get(worse.run_ids)
        if self._matrix is None or first is None or second is None:
            return False
        return bool(self._matrix.adjusted[first, second] <= ALPHA) and _ranks(better, worse, strictly=True)


def _ranks(first: Row, second: Row, strictly: bool = False) -> bool:
    """Whether the first row is as accurate as the second, or strictly more so, by the estimates."""
    assert first.rank is not None and second.rank is not None, "only rows with an average are compared"
    return first.rank < second.rank if strictly else first.rank <= second.rank
