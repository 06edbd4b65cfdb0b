"""What fine-tuning changed against the bare base, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from harness.catalog.tasks import task_title
from harness.report.board import Leaderboard
from harness.report.comparison import Difference
from harness.report.comparison_table import p_value
from harness.report.estimates import falls
from harness.report.figures import MISSING
from harness.report.foot import protocol, title
from harness.report.forgetting import Change
from harness.report.sheet import Sheet

BELOW = "Differences from the bare base on the same items; below zero it answers fewer of them than before."
ABOVE = "Differences from the bare base on the same items; less is better, so that above zero it is worse than before."
INTERVAL = "95 % is the average's interval, p is adjusted for all rows (Holm); docs/statistics.md."
ONE_SEED = "With one seed this is about these trained weights, not about the method."


def forgetting_sheet(board: Leaderboard, found: Sequence[Change]) -> Sheet:
    """The changes of a board's rows, by task and on average, in the board's units."""
    tasks = board.tasks
    falling = [task_title(task) for task in tasks if falls({board.metrics.get(task, "")})]
    foot = [protocol(board), ABOVE if falling and len(falling) == len(tasks) else BELOW, INTERVAL]
    if 0 < len(falling) < len(tasks):
        foot.append(f"In {', '.join(falling)} less is better: there above zero is worse.")
    if any(change.comparison.target == "weights" for change in found):
        foot.append(ONE_SEED)
    return Sheet(
        title=f"{title(board)} · change from the bare base",
        heads=("Method", "Seeds", *map(task_title, tasks), "Average", "95 %", "p"),
        lines=tuple(_line(change, tasks) for change in found),
        foot=tuple(foot),
        records=tuple(_record(change, tasks) for change in found),
        about=board.setting(),
    )


def _line(change: Change, tasks: Sequence[str]) -> tuple[str, ...]:
    average = change.comparison.average
    return (
        change.label,
        str(change.comparison.seeds),
        *(_shown(change.comparison.tasks.get(task)) for task in tasks),
        _shown(average),
        MISSING if average is None or average.ci_low is None else f"{average.ci_low:+.1f} to {average.ci_high:+.1f}",
        p_value(change.adjusted),
    )


def _shown(found: Difference | None) -> str:
    return MISSING if found is None else f"{found.difference:+.2f}"


def _record(change: Change, tasks: Sequence[str]) -> dict[str, object]:
    plain = change.to_json()
    average = plain["average"] or {}
    by_task = {task: (plain["tasks"].get(task) or {}).get("difference") for task in tasks}
    interval = {f"average_{key}": average.get(key) for key in ("ci_low", "ci_high", "p_value")}
    about = {key: plain[key] for key in ("label", "seeds", "target")}
    return about | by_task | {"average": average.get("difference")} | interval | {"adjusted": plain["adjusted"]}
