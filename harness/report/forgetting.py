"""What fine-tuning changes on tasks that it did not train: each row against the bare base, paired."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from harness.report.comparison import Comparison, compared
from harness.report.estimates import falls
from harness.report.labels import labelled_rows
from harness.report.opponents import Opponents
from harness.report.selection import Selection
from harness.report.versions import task_versions
from harness.store.store import Store


@dataclass(frozen=True)
class Change:
    """A row's change from the bare base.

    comparison: the row less the base, by task and on average; adjusted: the average's p-value after Holm over the
    board's rows, None where nothing is claimed.
    """

    label: str
    comparison: Comparison
    adjusted: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        average = self.comparison.average
        tasks = {task: asdict(found) for task, found in self.comparison.tasks.items()}
        return {
            "label": self.label,
            "seeds": self.comparison.seeds,
            "target": self.comparison.target,
            "average": None if average is None else asdict(average),
            "adjusted": self.adjusted,
            "tasks": tasks,
        }


def changes(store: Store, selection: Selection) -> tuple[Change, ...] | None:
    """Each trained row's change from the row that trains nothing, the worst first; None where no such row is scored.

    Items are paired; with several seeds the claim is about the method, with one about these weights (McNemar), as in
    `harness compare`.
    """
    runs = selection.candidates
    versions = task_versions(runs)
    rows = labelled_rows(run for run in runs if versions.main(run))
    metrics = {score.metric for run in runs for score in versions.main(run).values()}
    bare = next((members for _, members in rows if members[0].is_bare), None)
    if bare is None:
        return None
    found = [
        Change(label, compared(store, Opponents(label, bare[0].place.label, tuple(members), tuple(bare), runs)))
        for label, members in rows
        if not members[0].is_bare
    ]
    return _adjusted(sorted(found, key=partial(_badness, falls=falls(metrics))))


def _badness(change: Change, falls: bool) -> tuple[bool, float]:
    average = change.comparison.average
    return (average is None, 0.0 if average is None else (-1 if falls else 1) * average.difference)


def _adjusted(found: list[Change]) -> tuple[Change, ...]:
    """With Holm's p-values over the rows' averages."""
    from harness.report.statistics.holm import holm

    p_values = {
        change.label: change.comparison.average.p_value
        for change in found
        if change.comparison.average is not None and change.comparison.average.p_value is not None
    }
    if not p_values:
        return tuple(found)
    import numpy

    adjusted = dict(zip(p_values, holm(numpy.array(list(p_values.values()))), strict=True))
    return tuple(
        replace(change, adjusted=float(adjusted[change.label]) if change.label in adjusted else None)
        for change in found
    )
