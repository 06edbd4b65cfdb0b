"""Which runs share a leaderboard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.catalog.tasks import suite_of
from harness.report.setting import IDENTITY, same
from harness.spec.identity import canonical
from harness.spec.run import RunSpec
from harness.store.records import MembershipRecord, PlaceGroup, RunRecord, ScoreRecord
from harness.store.store import Store

Key = tuple[Any, ...]
RANKED = ("run", "tuned")
"""The roles of runs that stand on leaderboards: those that tuned, or were chosen once, do not."""


@dataclass(frozen=True)
class Design:
    """What runs are that differ in their seeds alone. spec: the first one's."""

    spec: RunSpec

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The canonical form of what determines the adapter, without the seed."""
        return {key: value for key, value in canonical(self.spec, IDENTITY).items() if key != "seed"}

    @cached_property
    def row_key(self) -> str:
        """What makes two runs of a board one row: every identity field but the seed.

        The training template is part of it; where nothing is trained it determines nothing.
        """
        return same(self.identity["adapter"] if self.spec.adapter.trains == "nothing" else self.identity)

    def of(self, run: RunRecord) -> RunSpec:
        """The specification of one of the runs."""
        own = {"run_id": run.run_id, "train_id": run.train_id, "seed": run.seed}
        return self.spec.model_copy(update=own)


@dataclass(frozen=True)
class Candidate:
    """A run as one benchmark sees it: its place in the latest experiment that asks for it, its scores there.

    order: the run's position among those that are read, for runs of the same second; overlap: by task, see
    `Store.overlaps`.
    """

    run: RunRecord
    spec: RunSpec
    design: Design
    place: MembershipRecord
    scores: tuple[ScoreRecord, ...]
    order: int
    overlap: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_bare(self) -> bool:
        """Whether it is the base model as it is: the same weights beside every seed of the others."""
        return self.spec.adapter.trains == "nothing" and self.spec.adapter.loads is None

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites of its tasks, each once; what was not recorded is read off the task's name."""
        found = (self.place.suites.get(task) or suite_of(task) for task in self.place.tasks)
        return tuple(dict.fromkeys(found))

    @property
    def moment(self) -> tuple[str, int]:
        """When the run finished; for one that did not, when it was written down."""
        return (self.run.finished_at or self.run.created_at, self.order)


@dataclass(frozen=True)
class Selection:
    """The runs of one board. Runs that train nothing stand on the board of every data setting."""

    candidates: tuple[Candidate, ...]


def candidates(store: Store, places: Iterable[MembershipRecord], kinds: Mapping[str, Key]) -> list[Candidate]:
    """The runs at these places, the latest experiment's first; once for each benchmark that asks for them.

    kinds: by run id, what is equal for runs whose specifications differ in seed and ids alone.
    """
    chosen: dict[Key, MembershipRecord] = {}
    for place in places:
        if place.role not in RANKED:
            continue
        chosen.setdefault((place.run_id, *benchmark_key(place)), place)
    ids = list(dict.fromkeys(place.run_id for place in chosen.values()))
    oldest_first = sorted(store.runs(ids), key=lambda run: run.created_at)
    runs = {run.run_id: (order, run) for order, run in enumerate(oldest_first)}
    scores = defaultdict(list)
    for score in store.scores(ids):
        scores[score.run_id].append(score)
    overlaps = store.overlaps(ids)
    designs = _designs(oldest_first, kinds)
    return [
        Candidate(
            run=runs[place.run_id][1],
            spec=designs[kinds[place.run_id]].of(runs[place.run_id][1]),
            design=designs[kinds[place.run_id]],
            place=place,
            scores=tuple(score for score in scores[place.run_id] if score.task in place.tasks),
            order=runs[place.run_id][0],
            overlap=overlaps.get(place.run_id, {}),
        )
        for place in chosen.values()
    ]


def _designs(runs: Iterable[RunRecord], kinds: Mapping[str, Key]) -> dict[Key, Design]:
    """By kind; each is validated once."""
    found: dict[Key, Design] = {}
    for run in runs:
        if kinds[run.run_id] not in found:
            found[kinds[run.run_id]] = Design(RunSpec.model_validate(run.spec))
    return found


def benchmark_key(place: MembershipRecord | PlaceGroup) -> Key:
    """A benchmark is its name, its tasks and what they weigh."""
    return (place.benchmark, frozenset(place.tasks), frozenset(place.weights.items()))
