"""A leaderboard drawn for a terminal (rich)."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from harness.report.board import Leaderboard
from harness.report.columns import LABEL, Layout, columns
from harness.report.foot import foot, title

GAP = 2
UNBOUNDED = 1000
"""A width that no table of comparisons reaches."""
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
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0))
    for (head, *_), taken in zip(cells, widths, strict=True):
        table.add_column(head, justify="left" if head == LABEL else "right", width=taken, overflow="fold")
    for row in zip(*(values for _, *values in cells), strict=True):
        table.add_row(*row)
    return _printed(table, _needed(widths))


def grid(cells: Cells) -> str:
    """Columns, each with its head first, as wide as they need; the first one is of text."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0))
    for index, ((head, *_), taken) in enumerate(zip(cells, _widths(cells), strict=True)):
        table.add_column(head, justify="right" if index else "left", width=max(taken, cell_len(head)))
    for row in zip(*(values for _, *values in cells), strict=True):
        table.add_row(*row)
    return _printed(table, UNBOUNDED)


def _printed(table: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
