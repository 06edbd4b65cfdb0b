"""Published numbers of a board's benchmark, beside ours and never among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.report.board import Leaderboard
from harness.report.published.sheets import INSIDE, printed
from harness.report.site.pages import decimals

Found = Mapping[str, Any]


def published_tables(board: Leaderboard) -> list[dict[str, Any]]:
    """Every published table that has a task in common with the board: its own model's first, then our rows'."""
    found = (_table(board, table) for table in board.published)
    return sorted(found, key=lambda table: (not table["own"], not table["beside"]))


def _table(board: Leaderboard, table: Found) -> dict[str, Any]:
    columns = list(dict.fromkeys(task for row in table["rows"] for task in row["published"]["scores"]))
    return {
        "name": f"{table['title']}, {table['table']}",
        "model": table["model"],
        "benchmark": table["benchmark"],
        "own": table["model"] == board.model,
        "beside": any(row["ours"] for row in table["rows"]),
        "tasks": columns,
        "rows": [_row(row, columns) for row in table["rows"]],
    }


def _row(row: Found, columns: list[str]) -> dict[str, Any]:
    ours = row["ours"]
    return {
        "label": row["label"],
        "average": printed(row["published"]["average"]),
        **_compared(ours and ours["average"]),
        "departures": _departures(ours),
        "scores": [_score(row, column) for column in columns],
        "percent": row["published"]["params_percent"],
        "doubts": "; ".join(row["doubts"]),
    }


def _compared(number: Found | None) -> dict[str, Any]:
    found = number or {}
    difference = found.get("difference")
    sign = "+" if difference is not None and difference > 0 else ""
    return {
        "same": printed(found.get("published")),
        "ours": decimals(found.get("ours")),
        "difference": f"{sign}{decimals(difference)}",
        "inside": INSIDE[found.get("inside")],
    }


def _departures(ours: Found | None) -> list[str]:
    return [f"{each['field']} {each['ours']} ({each['published']})" for each in ours["departures"]] if ours else []


def _score(row: Found, column: str) -> dict[str, str]:
    ours = row["ours"] and row["ours"]["scores"].get(column)
    value = ours and ours["ours"]
    return {
        "printed": printed(row["published"]["scores"].get(column)),
        "ours": "" if value is None else f"ours {decimals(value, 1)}",
    }
