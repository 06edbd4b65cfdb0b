"""What arithmetic shows to be odd in a published row."""

from __future__ import annotations

from collections.abc import Iterator

from harness.store.published.records import PublishedRow

ROUNDING = 0.05
"""Half a unit of the last digit of an average, which is printed with one decimal."""
SLACK = 1e-9
"""What floating-point numbers add to it."""
EASIER = (("arc_easy", "arc_challenge"), ("addsub", "svamp"))
"""Pairs of tasks: wherever both are printed in the order of their columns, the first has the higher score."""


def doubts_of(row: PublishedRow) -> tuple[str, ...]:
    """The row's doubts: those that its file states, an average that is not the mean, columns that look swapped."""
    return (*row.doubts, *_average(row), *_swapped(row))


def _average(row: PublishedRow) -> Iterator[str]:
    mean = row.mean
    if mean is not None and row.average is not None and abs(mean - row.average) > ROUNDING + SLACK:
        yield f"printed average {row.average:g}, but the row's mean is {mean:.2f}"


def _swapped(row: PublishedRow) -> Iterator[str]:
    for easier, harder in EASIER:
        if {easier, harder} <= row.scores.keys() and row.scores[harder] > row.scores[easier]:
            yield (
                f"{easier} and {harder} look swapped: {row.scores[easier]:g} and {row.scores[harder]:g}, "
                "while every other row has the first above the second"
            )
