"""A table beside a leaderboard, for a terminal and as markdown, CSV or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report.csv_text import csv_text
from harness.report.markdown import markdown_table
from harness.report.terminal import grid


@dataclass(frozen=True)
class Sheet:
    """What a report prints of one board.

    heads, lines: the table for people, its first column of names; foot: what stands below; records: the same as plain
    values with the same keys in each, None where there is no number; about: the board's setting.
    """

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    foot: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...]
    about: Mapping[str, Any]


def _table(sheets: Sequence[Sheet]) -> str:
    return "\n".join(map(_drawn, sheets))


def _drawn(sheet: Sheet) -> str:
    columns = [list(column) for column in zip(sheet.heads, *sheet.lines, strict=True)]
    return "\n".join([sheet.title, grid(columns), *sheet.foot]) + "\n"


def _markdown(sheets: Sequence[Sheet]) -> str:
    return "\n".join(
        markdown_table(sheet.title, sheet.heads, sheet.lines, sheet.foot, sheet.heads[0]) for sheet in sheets
    )


def _csv(sheets: Sequence[Sheet]) -> str:
    records = sheets[0].records
    return csv_text(list(records[0]) if records else [], records)


def _json(sheets: Sequence[Sheet]) -> str:
    first = sheets[0]
    found = {**first.about, "rows": list(first.records), "notes": list(first.foot)}
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[Sequence[Sheet]], str]] = {
    "table": _table,
    "markdown": _markdown,
    "csv": _csv,
    "json": _json,
}
"""As with leaderboards, a table and markdown show every board, CSV and JSON the one with the latest result."""
