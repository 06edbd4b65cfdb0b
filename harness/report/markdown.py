"""Tables in GitHub's markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(
    title: str, heads: Sequence[str], lines: Sequence[Sequence[str]], foot: Sequence[str], text: str
) -> str:
    """A heading, the table and its foot as a list; all columns are of numbers but the one that `text` heads."""
    rule = ["---" if head == text else "---:" for head in heads]
    table = [_line(line) for line in (heads, rule, *lines)]
    return "\n".join([f"### {_escaped(title)}", "", *table, "", *(f"- {_escaped(line)}" for line in foot)]) + "\n"


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(_escaped(value) for value in values)} |"


def _escaped(text: str) -> str:
    for mark in ("\\", "|", "*", "_", "<", "`"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())
