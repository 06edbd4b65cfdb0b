"""Published numbers beside ours for people: one table for each published one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from harness.report.figures import MISSING
from harness.report.published.beside import BesideRow, BesideTable, Number
from harness.report.published.comparison import Comparison
from harness.report.sheet import Sheet

HEADS = ("Method", "Published", "Our tasks", "Ours", "Difference", "95 %", "Inside", "Differs in")
EXPLAINED = (
    "Published numbers are as printed and not ours. Our tasks: their mean over the tasks of our benchmark, which may "
    "be fewer. 95 %: our interval; inside: whether that mean lies in it. Differs in: fields of the recipe, ours with "
    "the published in brackets. A row of ours has the published one's method, parameters and share of the training "
    "data; of several it is the one that differs in the fewest fields."
)
ONE_SEED = "With one seed an interval is about these trained weights alone, not about the method."
OTHER_MODEL = "Where the model differs, a difference says nothing about how well the number is reproduced."
OUTDATED = "These are the published numbers of another version of the harness: harness db upgrade renews them."
INSIDE = {None: MISSING, True: "yes", False: "no"}


def sheets(found: Comparison) -> list[Sheet]:
    """A sheet for each table."""
    return [_sheet(table) for table in found.tables]


def notes(found: Comparison) -> tuple[str, ...]:
    """What a reader must know to read the tables rightly."""
    pairs = [(table.table.model, row.ours) for table in found.tables for row in table.rows if row.ours is not None]
    return (
        EXPLAINED,
        *([ONE_SEED] if any(ours.seeds == 1 for _, ours in pairs) else []),
        *([OTHER_MODEL] if any(ours.model != model for model, ours in pairs) else []),
        *([] if found.current else [OUTDATED]),
    )


def claims(found: Comparison) -> Iterator[tuple[str, tuple[str, ...]]]:
    """By publication, a line for each thing that it claims: its words, our arithmetic, our verdict."""
    lines = defaultdict(list)
    for title, claim in found.claims:
        lines[title].append(f"“{claim.text}”: {claim.verdict} ({claim.arithmetic})")
    yield from ((title, tuple(told)) for title, told in lines.items())


def alone(found: Comparison) -> Iterator[str]:
    """A line for each row of ours beside no published one: in what it departs from the nearest."""
    for ours in found.alone:
        differs = "; ".join(map(str, ours.departures))
        nearest = (
            "no row has its method" if ours.nearest is None else f"nearest is {ours.nearest}; differs in {differs}"
        )
        yield f"{ours.label} ({ours.benchmark}, {ours.model}): {nearest}"


def headline(row: BesideRow) -> tuple[float | None, Number | None]:
    """The one number of a row that a table shows, and it beside ours: its average, or its only score."""
    if row.row.average is None and len(row.row.scores) == 1:
        ((column, score),) = row.row.scores.items()
        return score, row.ours and row.ours.scores[column]
    return row.row.average, row.ours and row.ours.average


def printed(value: float | None) -> str:
    """A published number with one decimal, or with two where it has them."""
    if value is None:
        return MISSING
    return f"{value:.1f}" if round(value, 1) == value else f"{value:.2f}"


def _sheet(table: BesideTable) -> Sheet:
    title = f"{table.source.title}, {table.table.table} · {table.table.benchmark} · {table.table.model}"
    return Sheet(title, HEADS, tuple(map(_line, table.rows)), tuple(_foot(table)), (), {})


def _line(row: BesideRow) -> tuple[str, ...]:
    value, number = headline(row)
    first = (f"{row.row.label} ?" if row.doubts else row.row.label, printed(value))
    if row.ours is None or number is None:
        return (*first, *[MISSING] * (len(HEADS) - len(first)))
    return (
        *first,
        printed(number.published),
        _shown(number.ours, ".2f"),
        _shown(number.difference, "+.2f"),
        MISSING if number.ci_low is None else f"{number.ci_low:.1f} to {number.ci_high:.1f}",
        INSIDE[number.inside],
        f"{len(row.ours.departures)} field{'' if len(row.ours.departures) == 1 else 's'}",
    )


def _shown(value: float | None, form: str) -> str:
    return MISSING if value is None else format(value, form)


def _foot(table: BesideTable) -> Iterator[str]:
    yield from (f"? {row.row.label}: {'; '.join(row.doubts)}" for row in table.rows if row.doubts)
    yield from _grouped(table, "quoted from", lambda row: row.row.quoted_from)
    yield from _grouped(table, "ours differs in", lambda row: row.ours and "; ".join(map(str, row.ours.departures)))
    yield from _grouped(table, "the source does not tell", lambda row: row.ours and ", ".join(row.ours.not_told))


def _grouped(table: BesideTable, words: str, told: Callable[[BesideRow], str | None]) -> Iterator[str]:
    """What is told of rows, once for all of which it is the same."""
    groups = defaultdict(list)
    for row in table.rows:
        if text := told(row):
            groups[text].append(row.row.label)
    for text, labels in groups.items():
        yield f"{', '.join(labels)}: {words} {text}"
