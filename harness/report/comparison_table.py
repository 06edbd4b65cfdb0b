"""A comparison drawn for a terminal."""

from __future__ import annotations

from harness.catalog.tasks import task_title
from harness.report.comparison import Comparison, Difference
from harness.report.figures import MISSING
from harness.report.terminal import grid

HEADS = ("Task", "Items", "A", "B", "A - B", "95 %", "p", "Wins", "Losses")


def drawn(found: Comparison) -> str:
    """The comparison as a table with its foot."""
    rows = [_cells(task_title(task), difference) for task, difference in found.tasks.items()]
    if found.average is not None:
        rows.append(_cells("Average", found.average))
    about = f"{found.benchmark} · {found.model}\nA: {found.a}\nB: {found.b}"
    return "\n".join([about, grid([list(column) for column in zip(HEADS, *rows, strict=True)]), *_foot(found)]) + "\n"


def _cells(name: str, found: Difference) -> tuple[str, ...]:
    interval = MISSING if found.ci_low is None else f"{found.ci_low:+.2f} to {found.ci_high:+.2f}"
    return (
        name,
        _shown(found.n, ","),
        f"{found.a:.2f}",
        f"{found.b:.2f}",
        f"{found.difference:+.2f}",
        interval,
        p_value(found.p_value),
        _shown(found.wins, ","),
        _shown(found.losses, ","),
    )


def _shown(value: int | None, form: str) -> str:
    return MISSING if value is None else format(value, form)


def p_value(value: float | None) -> str:
    """A p-value for people."""
    if value is None:
        return MISSING
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _foot(found: Comparison) -> list[str]:
    if found.about_weights and found.seeds > 1:
        lines = [f"{' and '.join(found.about_weights)}: one training's weights; this is not about their method."]
    elif found.target == "weights":
        lines = ["One seed each: this is about these trained weights on such items, not about the methods."]
    else:
        lines = [f"Paired on {found.seeds} seeds and on items: about the methods' means over seeds and items."]
    fewer = [(task_title(task), each.seeds) for task, each in found.tasks.items() if each.seeds < found.seeds]
    if found.average is not None and found.average.seeds < found.seeds:
        fewer.append(("Average", found.average.seeds))
    if fewer:
        lines.append(f"On fewer seeds, which have it: {', '.join(f'{name} {seeds}' for name, seeds in fewer)}.")
    if found.average is None:
        lines.append("No average: not every task of the benchmark has a score of both that can be averaged.")
    if any(each.n is None for each in found.tasks.values()):
        lines.append("Where the outcomes of the single items are not recorded, nothing is claimed.")
    return [*lines, "Wins and losses: items that A gets right more often than B, and less often."]
