"""A table of plain text: columns of given widths, a rule below the heads. rich takes ten times as long for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len

GAP = 2


@dataclass(frozen=True)
class TextColumn:
    """A column: its cells, the head first, and how many places of a terminal it takes."""

    cells: Sequence[str]
    width: int
    left: bool

    def lines(self, row: int) -> list[str]:
        """A cell in lines, each as wide as the column."""
        return [self._padded(line) for line in wrapped(self.cells[row], self.width)]

    def _padded(self, line: str) -> str:
        space = " " * (self.width - cell_len(line))
        return line + space if self.left else space + line


def text_table(columns: Sequence[TextColumn]) -> str:
    """The table, without spaces at the ends of lines. Cells that are too wide are wrapped."""
    blank = [" " * column.width for column in columns]
    rows = []
    for number in range(len(columns[0].cells)):
        cells = [column.lines(number) for column in columns]
        if number == 0:  # heads stand on the rule
            tallest = max(map(len, cells))
            cells = [[empty] * (tallest - len(cell)) + cell for cell, empty in zip(cells, blank, strict=True)]
        for line in zip_longest(*cells):
            parts = (part or empty for part, empty in zip(line, blank, strict=True))
            rows.append((" " * GAP).join(parts).rstrip())
        if number == 0:
            rows.append("─" * (sum(map(len, blank)) + GAP * (len(columns) - 1)))
    return "\n".join(rows)


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` places, broken between words, and within words that are wider."""
    if cell_len(text) <= width and "\n" not in text:
        return [text]
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in (part for each in paragraph.split(" ") for part in _folded(each, width)):
            longer = f"{line} {word}" if line else word
            if line and cell_len(longer) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return lines


def _folded(word: str, width: int) -> Iterator[str]:
    """The word in parts that are narrow enough."""
    part = ""
    for character in word:
        if part and cell_len(part + character) > width:
            yield part
            part = ""
        part += character
    yield part
