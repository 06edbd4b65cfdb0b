"""Averages with their intervals, as error bars want them."""

from __future__ import annotations

from dataclasses import dataclass

from harness.report.board import Leaderboard
from harness.report.estimates import PERCENT, bare
from harness.report.rows import Row


@dataclass(frozen=True)
class Point:
    """An average at a place of the x axis; low and high are the ends of its 95 % interval, None where not known."""

    x: float
    value: float
    low: float | None
    high: float | None

    @property
    def bars(self) -> tuple[list[float], list[float]] | None:
        """How far its interval reaches below and above it."""
        if self.low is None or self.high is None:
            return None
        return [self.value - self.low], [self.high - self.value]


def point(row: Row, x: float) -> Point | None:
    """The row's average at x; None where it has none."""
    if row.average is None:
        return None
    return Point(x, row.average.value, row.average.ci_low, row.average.ci_high)


def unit(board: Leaderboard) -> str:
    """What the average is in."""
    weighted = "Weighted average" if board.weights else "Average"
    return f"{weighted} (%)" if all(bare(metric) in PERCENT for metric in board.metrics.values()) else weighted
