"""A leaderboard drawn for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from harness.report.board import Leaderboard
from harness.report.columns import LABEL, Layout, columns
from harness.report.foot import foot, title
from harness.report.text_table import GAP, TextColumn, text_table

SHORTEST_LABEL = 16
Cells = list[list[str]]


def drawn(board: Leaderboard, width: int, others: bool) -> str:
    """The board as a table and its foot.

    Where the table is wider than `width`, some of it gives way and then labels wrap; a number is never cut.
    """
    lines = foot(board, others)
    layout = next((layout for layout in Layout if _needed(_widths(_cells(board, layout))) <= width), None)
    layout = layout or Layout.NARROWEST
    if layout.value:
        lines.append(f"Left out, since the terminal is narrow: {layout.value}.")
    return "\n".join([title(board), _text(_cells(board, layout), width), *lines]) + "\n"


def _cells(board: Leaderboard, layout: Layout) -> Cells:
    """The table's columns, each with its head first."""
    return [[head, *(cell(row) for row in board.rows)] for head, cell in columns(board, layout)]


def _widths(cells: Cells) -> list[int]:
    """What each column takes: heads wrap, cells do not."""
    return [max(map(cell_len, [*head.split(), *values])) for head, *values in cells]


def _needed(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _text(cells: Cells, width: int) -> str:
    widths = _widths(cells)
    label = [head for head, *_ in cells].index(LABEL)
    spare = max(0, _needed(widths) - width)
    widths[label] = max(widths[label] - spare, min(widths[label], SHORTEST_LABEL))
    columns = zip(cells, widths, strict=True)
    return text_table([TextColumn(column, taken, left=column[0] == LABEL) for column, taken in columns])


def grid(cells: Cells) -> str:
    """Columns, each with its head first, as wide as they need; the first one is of text."""
    widths = [max(map(cell_len, column)) for column in cells]
    columns = enumerate(zip(cells, widths, strict=True))
    return text_table([TextColumn(column, taken, left=not index) for index, (column, taken) in columns])
