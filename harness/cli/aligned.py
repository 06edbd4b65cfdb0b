"""A plain table of many rows, at once where rich's would take seconds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

LONG = 1000
"""Rows from which on a table is plain, and JSON on one line."""


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> Iterator[str]:
    """The lines of a table. right: heads of the columns that end alike."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = zip(heads, row, widths, strict=True)
        yield "  ".join(
            cell.rjust(width) if head in right else cell.ljust(width) for head, cell, width in cells
        ).rstrip()
