"""What each run of a board made of each test item: what intervals and comparisons rest on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.report.versions import TaskVersions
from harness.store.records import Items, Outcomes, ScoreRecord
from harness.store.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.report.statistics.mean import Mean

TOLERANCE = 1e-6
"""By how much a score may differ from the mean of its outcomes: of a metric that is no mean, nothing is claimed."""

Key = tuple[str, str]
Asked = tuple[tuple[str, ...], tuple[str, ...], "tuple[float, ...] | None"]
"""What a mean is over: run ids, tasks, and their weights (None: alike)."""
Means = Mapping[Asked, "Mean"]


@dataclass(frozen=True)
class Evidence:
    """Outcomes by (run id, task), of the task versions that a board shows and of metrics that are means of them."""

    outcomes: Mapping[Key, Outcomes] = field(default_factory=dict)
    _answers: dict[tuple[str, tuple[str, ...]], NDArray | None] = field(default_factory=dict, compare=False)

    def answers(self, task: str, run_ids: Sequence[str]) -> NDArray | None:
        """The outcomes (runs, items) of these runs; None where one has none, or other items than the others."""
        key = (task, tuple(run_ids))
        if key not in self._answers:
            self._answers[key] = self._stacked(*key)
        return self._answers[key]

    def _stacked(self, task: str, run_ids: Sequence[str]) -> NDArray | None:
        found = [self.outcomes.get((run_id, task)) for run_id in run_ids]
        if None in found or len({each.items.digest for each in found}) != 1:
            return None
        import numpy

        return numpy.stack([numpy.frombuffer(each.values, each.values.typecode) for each in found])

    def means(self, asked: Iterable[Asked]) -> dict[Asked, Mean]:
        """The means over these runs and tasks, of those whose outcomes are all known; in outcomes' units.

        Those of the same shape are computed together.
        """
        shapes: dict[tuple[object, ...], dict[Asked, list[NDArray]]] = defaultdict(dict)
        for each in asked:
            run_ids, tasks, weights = each
            tables = [self.answers(task, run_ids) for task in tasks]
            if all(table is not None for table in tables):
                shapes[(weights, *(table.shape for table in tables))][each] = tables
        found: dict[Asked, Mean] = {}
        for (weights, *_), alike in shapes.items():
            found.update(zip(alike, _means(list(alike.values()), weights), strict=True))
        return found

    def items(self, task: str, run_id: str) -> Items:
        """The items that `answers` is over."""
        return self.outcomes[(run_id, task)].items


def _means(tables: Sequence[Sequence[NDArray]], weights: Sequence[float] | None) -> list[Mean]:
    import numpy

    from harness.report.statistics.mean import means_over_seeds

    return means_over_seeds([numpy.stack(alike) for alike in zip(*tables, strict=True)], weights)


def evidence(
    store: Store, scores: Mapping[str, Mapping[str, ScoreRecord]], versions: TaskVersions, tasks: Collection[str]
) -> Evidence:
    """The outcomes of runs on these tasks. scores: by run id and task, the main metric's score."""
    found = {
        (each.run_id, each.task): each
        for each in store.outcomes(list(scores), list(tasks))
        if versions.latest.get(each.task) == (each.version, each.fingerprint)
        and _is_mean(scores[each.run_id].get(each.task), each)
    }
    return Evidence(found)


def _is_mean(score: ScoreRecord | None, outcomes: Outcomes) -> bool:
    """Whether the score is the mean of these outcomes."""
    if score is None or not outcomes.values:
        return False
    return abs(sum(outcomes.values) / len(outcomes.values) - score.value) <= TOLERANCE * max(1.0, abs(score.value))
