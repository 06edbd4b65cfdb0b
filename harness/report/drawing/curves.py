"""Accuracy along one setting: the share of the training data, or the rank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.errors import NotFoundError
from harness.report.board import Leaderboard
from harness.report.drawing.canvas import canvas, look
from harness.report.drawing.points import Point, point, unit
from harness.report.rows import Row
from harness.store.store import Store

Along = Callable[[Leaderboard, Row, dict[str, Any]], "tuple[str, float] | None"]


def draw_data(store: Store, boards: Sequence[Leaderboard], path: Path) -> None:
    """Averages against the share of the training data, a line for each method and rank.

    boards: the first one and those that differ from it in the share of the data alone. Raises NotFoundError where no
    line has two points.
    """
    _draw(store, _alike(boards), path, _share, "Share of the training data (%)", log=False)


def draw_rank(store: Store, boards: Sequence[Leaderboard], path: Path) -> None:
    """Averages against the rank r on the first board, a line for each method; a method of one rank is a point."""
    _draw(store, boards[:1], path, _rank, "Rank r", log=True)


def _alike(boards: Sequence[Leaderboard]) -> list[Leaderboard]:
    """The boards of the first one's setting, whatever share of its data they trained on."""
    first = _but_share(boards[0])
    return [board for board in boards if _but_share(board) == first]


def _but_share(board: Leaderboard) -> dict[str, Any]:
    data = None if board.data is None else {key: value for key, value in board.data.items() if key != "fraction"}
    return board.setting() | {"data": data}


def _share(board: Leaderboard, row: Row, adapter: dict[str, Any]) -> tuple[str, float] | None:
    if board.data is None or adapter["trains"] == "nothing":
        return None
    rank = adapter["params"].get("r")
    return (row.method if rank is None else f"{row.method} r={rank}"), 100 * board.data["fraction"]


def _rank(board: Leaderboard, row: Row, adapter: dict[str, Any]) -> tuple[str, float] | None:
    rank = adapter["params"].get("r")
    return None if rank is None else (row.method, float(rank))


def _draw(store: Store, boards: Sequence[Leaderboard], path: Path, along: Along, label: str, log: bool) -> None:
    lines = _lines(store, boards, along)
    if not any(len({at.x for at in points}) > 1 for points in lines.values()):
        raise NotFoundError(f"nothing to draw: no method has averages at two values of: {label}")
    with canvas(path) as axes:
        for index, (name, points) in enumerate(lines.items()):
            ordered = sorted(points, key=lambda at: at.x)
            axes.plot([at.x for at in ordered], [at.value for at in ordered], label=name, linewidth=1, **look(index))
            for at in ordered:
                axes.errorbar(at.x, at.value, yerr=at.bars, color=look(index)["color"], capsize=2, linewidth=0.8)
        ticks = sorted({at.x for points in lines.values() for at in points})
        if log:
            axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(label)
        axes.set_ylabel(unit(boards[0]))
        axes.legend()


def _lines(store: Store, boards: Sequence[Leaderboard], along: Along) -> dict[str, list[Point]]:
    lines: dict[str, list[Point]] = defaultdict(list)
    specs = {run.run_id: run.spec for run in store.runs([row.run_ids[0] for board in boards for row in board.rows])}
    for board in boards:
        for row in board.rows:
            found = along(board, row, specs[row.run_ids[0]]["adapter"])
            at = None if found is None else point(row, found[1])
            if found is not None and at is not None:
                lines[found[0]].append(at)
    return lines
