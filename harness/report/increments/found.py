"""The boards of which increments were measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.report.increments.kinds import Kind, kinds
from harness.report.selection import Selection
from harness.store.store import Store


@dataclass(frozen=True)
class Found:
    """A board's runs and the kinds of matrices that were measured; unmeasured: its trainings that were not."""

    selection: Selection
    kinds: tuple[Kind, ...]
    unmeasured: int


def measured(store: Store, selections: Sequence[Selection]) -> Iterator[Found]:
    """Those that have increments which no earlier board has shown: boards may share trainings."""
    shown: set[str] = set()
    for selection in selections:
        runs = [run for run in selection.candidates if run.run.training is not None and run.spec.data is not None]
        trainings = list(dict.fromkeys(run.run.train_id for run in runs))
        increments = store.increments(trainings)
        if set(increments) - shown:
            shown |= set(increments)
            yield Found(selection, kinds(runs, increments), len(trainings) - len(increments))
