"""The front of accuracy and a cost as a table."""

from __future__ import annotations

from harness.report.axes import AXES
from harness.report.board import Leaderboard
from harness.report.figures import MISSING
from harness.report.foot import protocol, title
from harness.report.front import MEANING, Place, front
from harness.report.sheet import Sheet

MEASURED = "{} as measured where the row was trained; rows that were trained elsewhere do not compare."


def front_sheet(board: Leaderboard, cost: str) -> Sheet:
    """The board's rows by cost, one of AXES, with their standing to the front."""
    axis = AXES[cost]
    places = front(board, axis)
    foot = [protocol(board), *(f"{standing.value}: {meaning}." for standing, meaning in MEANING.items())]
    if board.matrix is None:
        foot.append("With one seed no difference is proved; a standing is one of these trained weights.")
    if cost != "parameters":
        foot.append(MEASURED.format(axis.title))
    return Sheet(
        title=f"{title(board)} · accuracy against {axis.title.lower()}",
        heads=("Method", axis.title, "Average", "95 %", "Standing", "Beside"),
        lines=tuple(
            (
                place.label,
                MISSING if place.cost is None else axis.shown(place.cost),
                MISSING if place.average is None else f"{place.average:.2f}",
                _interval(place),
                MISSING if place.standing is None else place.standing.value,
                place.rival or MISSING,
            )
            for place in places
        ),
        foot=tuple(foot),
        records=tuple({"cost_axis": cost, "cost_unit": axis.unit, **place.to_json()} for place in places),
        about=board.setting(),
    )


def _interval(place: Place) -> str:
    return MISSING if place.ci_low is None or place.ci_high is None else f"{place.ci_low:.1f} to {place.ci_high:.1f}"
