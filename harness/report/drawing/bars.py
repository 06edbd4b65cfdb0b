"""A leaderboard as bars."""

from __future__ import annotations

from pathlib import Path

from harness.errors import NotFoundError
from harness.report.board import Leaderboard
from harness.report.drawing.canvas import COLOURS, canvas
from harness.report.drawing.points import point, unit

INCHES_A_ROW, INCHES_BESIDE = 0.28, 0.9


def draw_bars(board: Leaderboard, path: Path) -> None:
    """Each row's average with its 95 % interval and its letters, the best on top: which modules, which components.

    Raises NotFoundError where no row has an average.
    """
    known = [(row, at) for row in board.rows if (at := point(row, 0.0)) is not None]
    if not known:
        raise NotFoundError(f"nothing to draw: no row of {board.benchmark} has an average")
    with canvas(path, height=INCHES_BESIDE + INCHES_A_ROW * len(known)) as axes:
        for place, (row, at) in enumerate(known):
            axes.barh(place, at.value, color=COLOURS[5], height=0.7)
            axes.errorbar(at.value, place, xerr=at.bars, color=COLOURS[6], capsize=2, linewidth=0.8)
            reach = at.value if at.high is None else at.high
            axes.annotate(
                row.group or "", (reach, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.set_yticks(range(len(known)), [row.label for row, _ in known])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(unit(board))
