"""Tables of rows, for a terminal and for docs/performance.md."""

from __future__ import annotations

from itertools import groupby

from contenders import TITLES
from rich.console import Console
from rich.table import Table
from rows import BASELINES, Row, Setting

HEADINGS = {
    "step": "Training step",
    "memory": "Saved for the backward pass",
    "generation": "Generation, adapters unmerged",
    "merged": "Generation, adapters merged",
}


def title(setting: Setting) -> str:
    """Returns what stands over a table."""
    dropout = "" if setting.dropout is None else f", dropout {setting.dropout:g}"
    return f"{HEADINGS[setting.measure]}: {setting.size}, {setting.dtype}{dropout}"


def print_tables(rows: list[Row]) -> None:
    """Prints all tables on the terminal."""
    console = Console(width=max(Console().width, 100))
    for setting, members in _tables(rows):
        table = Table(title=title(setting), title_justify="left")
        for number, name in enumerate(_columns(members[0])):
            table.add_column(name, justify="left" if number == 0 or name == "result" else "right", no_wrap=True)
        for row in members:
            table.add_row(*_cells(row))
        console.print(table)


def markdown(rows: list[Row]) -> str:
    """Returns all tables, each under a line that names it."""
    parts = []
    for setting, members in _tables(rows):
        names = _columns(members[0])
        rule = ["---", *["---:"] * (len(names) - 2), "---"]
        lines = "\n".join("| " + " | ".join(line) + " |" for line in [names, rule, *map(_cells, members)])
        parts.append(f"**{title(setting)}**\n\n{lines}")
    return "\n\n".join(parts)


def _tables(rows: list[Row]) -> list[tuple[Setting, list[Row]]]:
    return [(setting, list(members)) for setting, members in groupby(rows, key=lambda row: row.setting)]


def _columns(row: Row) -> list[str]:
    ratio = f"× {TITLES[BASELINES[row.setting.measure]]}"
    if row.setting.measure == "memory":
        return ["", "MB", "held MB", ratio, "target", "result"]
    unit = "ms" if row.setting.measure == "step" else "ms/token"
    on_gpu = ["tokens/s", "peak MB"] if row.peak_bytes is not None else []
    return ["", unit, *on_gpu, ratio, "95 % interval", "target", "result"]


def _cells(row: Row) -> list[str]:
    """One text for each of `_columns`."""
    result = [f"{row.ratio:.3f}"]
    if row.setting.measure == "memory":
        amounts = [f"{row.value / 1e6:.1f}", f"{row.held_bytes / 1e6:.1f}"]
    else:
        amounts = [f"{row.value * 1e3:.2f}"]
        if row.peak_bytes is not None:
            amounts += [f"{row.tokens_per_second:.0f}", f"{row.peak_bytes / 1e6:.0f}"]
        is_baseline = row.contender == BASELINES[row.setting.measure]
        result.append("" if is_baseline else "–".join(f"{bound:.3f}" for bound in row.interval))
    target = "" if row.target is None else f"≤ {row.target:.2f}"
    return [TITLES[row.contender], *amounts, *result, target, row.verdict]
