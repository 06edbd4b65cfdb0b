"""The columns of a leaderboard for people."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from harness.catalog.tasks import task_title
from harness.report.board import Leaderboard
from harness.report.estimates import bare
from harness.report.figures import MISSING, count, duration, estimate, interval, memory
from harness.report.rows import Row

Column = tuple[str, Callable[[Row], str]]
LABEL = "Method"
"""The head of the one column of text."""


class Layout(Enum):
    """How much a table shows; the value says what is left out."""

    FULL = ""
    NARROW = "standard errors of tasks, intervals"
    NARROWEST = "standard errors of tasks, intervals, percentages and costs of training"


def columns(board: Leaderboard, layout: Layout = Layout.FULL) -> list[Column]:
    """Each column's head, and what stands there for a row."""
    costs: list[Column] = [
        ("Training", lambda row: duration(row.train_seconds)),
        ("Peak memory", lambda row: memory(row.peak_memory_bytes)),
    ]
    slim = layout is Layout.NARROWEST
    grouped = any(row.group is not None for row in board.rows)
    return [
        ("#", lambda row: MISSING if row.rank is None else str(row.rank)),
        *([("Group", lambda row: row.group or MISSING)] if grouped else []),
        (LABEL, lambda row: row.marked),
        ("Trainable", lambda row: MISSING if row.trainable_params is None else count(row.trainable_params)),
        *([] if slim else [("%", _percent)]),
        ("Seeds", lambda row: f"{row.seeds}*" if lacks_seeds(board, row) else str(row.seeds)),
        *(_task_column(board, task, errors=layout is Layout.FULL) for task in board.tasks),
        ("Weighted average" if board.weights else "Average", lambda row: estimate(row.average)),
        *([("95 %", lambda row: interval(row.average))] if layout is Layout.FULL else []),
        *([] if slim else costs),
    ]


def lacks_seeds(board: Leaderboard, row: Row) -> bool:
    """Whether other rows have seeds that this one (if it has any) does not."""
    return bool(row.seed_values) and any(set(other.seed_values) - set(row.seed_values) for other in board.rows)


def _percent(row: Row) -> str:
    return MISSING if row.trainable_percent is None else f"{row.trainable_percent:.3g}"


def _task_column(board: Leaderboard, task: str, errors: bool) -> Column:
    metric = bare(board.metrics.get(task, ""))
    head = task_title(task) if metric in ("", "accuracy") else f"{task_title(task)} ({metric})"
    return (head, lambda row: estimate(row.scores.get(task), errors))
