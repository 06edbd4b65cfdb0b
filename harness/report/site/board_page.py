"""One leaderboard's page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from harness.catalog.tasks import task_title
from harness.report.board import Leaderboard
from harness.report.columns import lacks_seeds
from harness.report.estimates import Average, TaskValue, bare, falls
from harness.report.figures import MISSING
from harness.report.foot import foot, protocol, title
from harness.report.rows import Row
from harness.report.site.charts import board_charts
from harness.report.site.pages import decimals
from harness.report.site.pairs_page import pairs_page
from harness.report.site.published_tables import published_tables
from harness.report.site.runs import Runs
from harness.spec.identity import digest

WIDTH = 120
"""Of a drawn interval, in pixels."""


@dataclass(frozen=True)
class BoardPage:
    """A board's page: its file, what its template needs, what others say of it, and the runs that it leads to.

    pairs: the same of the page of its pairs, by file; empty where none were compared.
    """

    name: str
    values: dict[str, Any]
    pairs: dict[str, dict[str, Any]]
    summary: dict[str, Any]
    run_ids: frozenset[str]


def board_page(board: Leaderboard, runs: Runs) -> BoardPage:
    """What the page of this board shows."""
    name, pairs_name = f"{page_slug(board)}.html", f"{page_slug(board)}-pairs.html"
    pairs = pairs_page(board)
    scale = _scale(board)
    falling = falls(set(board.metrics.values()))
    values = {
        "title": title(board),
        "protocol": protocol(board),
        "rows": [_row(board, row, scale) for row in board.rows],
        "grouped": any(row.group is not None for row in board.rows),
        "scale": scale,
        "average_head": "Weighted average" if board.weights else "Average",
        "better": "ascending" if falling else "descending",
        "tasks": [{"head": _task_head(board, task)} for task in board.tasks],
        "small": "one standard error",
        "charts": board_charts(board, runs),
        "pairs_page": pairs_name if pairs else None,
        "published": published_tables(board),
        "notes": foot(board, others=False),
        "failures": board.failures,
    }
    run_ids = frozenset(run_id for row in board.rows for run_id in row.run_ids)
    failed = {failure["run_id"] for failure in board.failures}
    side = {pairs_name: {"title": title(board), "page": name} | pairs} if pairs else {}
    return BoardPage(name, values, side, _summary(board, name), run_ids | failed)


def page_slug(board: Leaderboard) -> str:
    """A file name that stays the same for a board's setting."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{board.benchmark} {board.model}".lower()).strip("-")
    return f"{words[:60]}-{digest(board.setting())[:6]}"


def _summary(board: Leaderboard, name: str) -> dict[str, Any]:
    best = board.rows[0] if board.rows and board.rows[0].rank is not None else None
    return {
        "page": name,
        "title": title(board),
        "protocol": protocol(board),
        "rows": len(board.rows),
        "runs": sum(len(row.run_ids) for row in board.rows),
        "tasks": len(board.tasks),
        "failed": board.failed,
        "best": best and {"label": best.label, "shown": decimals(best.average.value) if best.average else MISSING},
    }


def _scale(board: Leaderboard) -> tuple[float, float] | None:
    """The lowest and the highest end of the averages' intervals; None where there are none."""
    found = [row.average for row in board.rows if row.average is not None]
    ends = [end for average in found for end in (average.ci_low, average.ci_high) if end is not None]
    return (min(ends), max(ends)) if ends and min(ends) < max(ends) else None


def _row(board: Leaderboard, row: Row, scale: tuple[float, float] | None) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "label": row.label,
        "departs": bool(row.departures),
        "tuned": bool(row.tuned),
        "group": row.group,
        "average": _average(row.average),
        "bar": _bar(row.average, scale),
        "scores": [_score(row.scores.get(task)) for task in board.tasks],
        "params": row.trainable_params,
        "percent": row.trainable_percent,
        "seeds": row.seeds,
        "lacks": lacks_seeds(board, row),
        "runs": _runs(row),
        "seconds": row.train_seconds,
        "memory": row.peak_memory_bytes,
    }


def _average(found: Average | None) -> dict[str, Any]:
    known = found is not None and found.ci_low is not None and found.ci_high is not None
    ends = f"{decimals(found.ci_low, 1)} to {decimals(found.ci_high, 1)}" if found and known else ""
    return {"value": decimals(found and found.value), "sort": found and found.value, "ends": ends}


def _score(found: TaskValue | None) -> dict[str, Any]:
    ends = f"± {found.stderr:.2f}" if found is not None and found.stderr is not None else ""
    return {"value": decimals(found and found.value), "sort": found and found.value, "ends": ends}


def _bar(found: Average | None, scale: tuple[float, float] | None) -> tuple[float, ...] | None:
    """Where low end, value and high end lie on the drawn scale."""
    if found is None or scale is None or found.ci_low is None or found.ci_high is None:
        return None
    low, high = scale
    return tuple(round((x - low) / (high - low) * WIDTH, 1) for x in (found.ci_low, found.value, found.ci_high))


def _runs(row: Row) -> list[dict[str, str]]:
    if not row.seed_values:
        return [{"run_id": run_id, "short": "run", "told": "run"} for run_id in row.run_ids]
    return [
        {"run_id": run_id, "short": str(seed), "told": f"seed {seed}"}
        for run_id, seed in zip(row.run_ids, row.seed_values, strict=True)
    ]


def _task_head(board: Leaderboard, task: str) -> str:
    metric = bare(board.metrics.get(task, ""))
    return task_title(task) if metric in ("", "accuracy") else f"{task_title(task)} ({metric})"
