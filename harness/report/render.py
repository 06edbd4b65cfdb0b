"""Leaderboards as text."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence

from harness.errors import NotFoundError, nearest
from harness.report.board import Leaderboard
from harness.report.columns import LABEL, columns
from harness.report.csv_text import csv_text
from harness.report.foot import foot, title
from harness.report.markdown import markdown_table

UNBOUNDED = 100_000
"""A width that no table reaches."""


def render(leaderboards: Leaderboard | Sequence[Leaderboard], format: str, width: int | None = None) -> str:
    """One board, or several, in one of FORMATS, ending in a line feed.

    Table, markdown and LaTeX show every board, CSV and JSON the first one. A table is at most `width` columns wide: by
    default the terminal's, or UNBOUNDED where standard output is none, so that nothing is cut. Raises NotFoundError
    where there is no board, and for an unknown format.
    """
    if format not in FORMATS:
        raise NotFoundError(f"unknown format {format!r}, {nearest(format, FORMATS)}")
    boards = [leaderboards] if isinstance(leaderboards, Leaderboard) else leaderboards
    if not boards:
        raise NotFoundError("there are no results to report yet; harness run EXPERIMENT makes some")
    return FORMATS[format](boards, width or _terminal_width())


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else UNBOUNDED


def _table(boards: Sequence[Leaderboard], width: int) -> str:
    from harness.report.terminal import drawn

    return "\n".join(drawn(board, width, others=len(boards) == 1) for board in boards)


def _markdown(boards: Sequence[Leaderboard], _width: int) -> str:
    return "\n".join(_markdown_board(board, others=len(boards) == 1) for board in boards)


def _markdown_board(board: Leaderboard, others: bool) -> str:
    shown = columns(board)
    lines = [[cell(row) for _, cell in shown] for row in board.rows]
    return markdown_table(title(board), [head for head, _ in shown], lines, foot(board, others), LABEL)


def _csv(boards: Sequence[Leaderboard], _width: int) -> str:
    return csv_text(boards[0].columns(), boards[0].records())


def _json(boards: Sequence[Leaderboard], _width: int) -> str:
    return json.dumps(boards[0].to_json(), indent=2, ensure_ascii=False) + "\n"


def _latex(boards: Sequence[Leaderboard], _width: int) -> str:
    from harness.report.latex import latex

    return "\n".join(map(latex, boards))


FORMATS: dict[str, Callable[[Sequence[Leaderboard], int], str]] = {
    "table": _table,
    "markdown": _markdown,
    "csv": _csv,
    "json": _json,
    "latex": _latex,
}
"""The formats that `render` knows."""
