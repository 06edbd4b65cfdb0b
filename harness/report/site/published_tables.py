"""Published numbers of a board's benchmark, beside ours and never among them."""

from __future__ import annotations

from typing import Any

from harness.report.board import Leaderboard
from harness.report.published import PublishedRow, PublishedTable, doubts_of, publications
from harness.report.site.pages import decimals


def published_tables(board: Leaderboard) -> list[dict[str, Any]]:
    """Every published table of this benchmark, those on the board's own model first."""
    found = [
        _table(board, publication.source.title, table)
        for publication in publications()
        for table in publication.tables
        if table.benchmark == board.benchmark
    ]
    return sorted(found, key=lambda table: not table["own"])


def _table(board: Leaderboard, source: str, table: PublishedTable) -> dict[str, Any]:
    columns = list(dict.fromkeys(task for row in table.rows for task in row.scores))
    return {
        "name": f"{source}, {table.table}",
        "model": table.model,
        "own": table.model == board.model,
        "tasks": columns,
        "rows": [_row(board, row, columns) for row in table.rows],
    }


def _row(board: Leaderboard, row: PublishedRow, columns: list[str]) -> dict[str, Any]:
    ours = [own.average.value for own in board.rows if own.method == row.method and own.average is not None]
    return {
        "label": row.label,
        "average": row.average,
        "ours": decimals(max(ours, default=None)),
        "scores": [row.scores.get(column) for column in columns],
        "percent": row.params_percent,
        "doubts": "; ".join(doubts_of(row)),
    }
