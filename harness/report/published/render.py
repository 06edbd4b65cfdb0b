"""Published numbers beside ours as text."""

from __future__ import annotations

import json
from collections.abc import Callable

from harness.report.csv_text import csv_text
from harness.report.published.comparison import Comparison, records
from harness.report.published.sheets import alone, claims, notes, sheets
from harness.report.sheet import FORMATS as SHEETS

ALONE = "Ours beside no published row"


def _json(found: Comparison) -> str:
    return json.dumps(found.to_json(), indent=2, ensure_ascii=False) + "\n"


def _csv(found: Comparison) -> str:
    lines = list(records(found))
    return csv_text(list(lines[0]) if lines else [], lines)


def _table(found: Comparison) -> str:
    return _text(found, "table", "", "")


def _markdown(found: Comparison) -> str:
    return _text(found, "markdown", "### ", "- ")


def _text(found: Comparison, form: str, head: str, mark: str) -> str:
    blocks = [(ALONE, lines)] if (lines := tuple(alone(found))) else []
    blocks += [(f"{title}: what its text claims", lines) for title, lines in claims(found)]
    blocks.append(("How to read this", notes(found)))
    below = [
        "".join(line + "\n" for line in (f"{head}{name}", *([""] if head else []), *(mark + text for text in lines)))
        for name, lines in blocks
    ]
    return "\n".join([SHEETS[form](sheets(found)), *below])


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "table": _table,
    "markdown": _markdown,
    "csv": _csv,
    "json": _json,
}
"""CSV has a line for each published number and leaves out the claims and what of ours stands beside no row."""
