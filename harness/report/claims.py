"""In words: which claims a board makes about its rows, and what it could not see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.catalog.tasks import task_title
from harness.report.groups import Groups, OpenPair
from harness.report.rows import Row


def evidence_notes(rows: Sequence[Row], found: Groups) -> Iterator[str]:
    """What a reader must know of the groups, or why there are none."""
    compared = [row for row in rows if row.average is not None]
    if not found.letters:
        if sum(row.seeds > 1 for row in compared) > 1:
            yield "No groups: there are no two rows with recorded outcomes of the same items and two seeds or more."
        return
    yield "Rows that share a letter can't be told apart (paired by seed and item, 5 % over all comparisons: Holm)."
    if any(row.run_ids not in found.letters for row in compared):
        yield "Rows without a letter have one seed, or one with recorded outcomes; they aren't compared as methods."
    for task, items in found.narrowed.items():
        yield f"{task_title(task)}: compared on the {items} items that all rows answered."
    if found.detectable is not None:
        yield f"A true difference of {found.detectable:.2f} is found by one comparison in four of five cases."
    if found.open_pair is not None:
        yield _open(found.open_pair)


def _open(pair: OpenPair) -> str:
    ways = []
    if pair.more_seeds is not None:
        ways.append(f"{pair.more_seeds} more seed{'s' if pair.more_seeds > 1 else ''}")
    if pair.more_items is not None:
        ways.append(f"{pair.more_items:,} more items")
    settled = (
        f"{' or '.join(ways)} would probably settle it" if ways else "neither more seeds nor items would settle it"
    )
    return (
        f"Nearest open pair: {pair.better} over {pair.worse} by {abs(pair.difference):.2f} (p = {pair.p_value:.2g}); "
        f"if that is the difference, {settled}."
    )
