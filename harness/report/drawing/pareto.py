"""Accuracy against a cost."""

from __future__ import annotations

from pathlib import Path

from harness.errors import NotFoundError
from harness.report.axes import AXES
from harness.report.board import Leaderboard
from harness.report.drawing.canvas import COLOURS, canvas
from harness.report.drawing.points import point, unit
from harness.report.front import ON_THE_FRONT, front

TICKS = (1.0, 2.0, 5.0)
"""Of each decade."""


def draw_pareto(board: Leaderboard, cost: str, path: Path) -> None:
    """The rows' averages with 95 % intervals against a cost, one of AXES; those on the front filled, joined by steps.

    Rows without the cost, or at none, are not drawn but for a dashed line at the average of one that costs nothing.
    Raises NotFoundError where no row is left.
    """
    axis = AXES[cost]
    standings = {place.label: place.standing for place in front(board, axis)}
    placed = [(row, point(row, axis.spent(row) or 0.0)) for row in board.rows if axis.spent(row) is not None]
    points = [(row, at) for row, at in placed if at is not None]
    paid = sorted(((row, at) for row, at in points if at.x > 0), key=lambda pair: pair[1].x)
    if not paid:
        raise NotFoundError(
            f"nothing to draw: no row of {board.benchmark} has an average and its {axis.title.lower()}"
        )
    with canvas(path) as axes:
        from matplotlib.ticker import LogLocator

        for row, at in paid:
            hollow = standings[row.label] not in ON_THE_FRONT
            face = {"markerfacecolor": "white"} if hollow else {}
            axes.errorbar(at.x, at.value, yerr=at.bars, fmt="o", color=COLOURS[0], capsize=2, linewidth=0.8, **face)
            axes.annotate(row.label, (at.x, at.value), xytext=(5, 5), textcoords="offset points", fontsize=7)
        steps = [at for row, at in paid if standings[row.label] in ON_THE_FRONT]
        where = "pre" if axis.more_is_better else "post"
        axes.step([at.x for at in steps], [at.value for at in steps], where=where, color=COLOURS[1], linewidth=0.9)
        for row, at in points:
            if at.x == 0:
                axes.axhline(at.value, color=COLOURS[6], linestyle="--", linewidth=0.7)
                at_end = {"xycoords": ("axes fraction", "data"), "xytext": (0, 3), "textcoords": "offset points"}
                axes.annotate(row.label, (1, at.value), ha="right", fontsize=7, **at_end)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=TICKS))
        axes.xaxis.set_major_formatter(lambda spent, _: axis.shown(spent))
        axes.minorticks_off()
        axes.set_xlabel(axis.title)
        axes.set_ylabel(unit(board))
