"""Which runs share a leaderboard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.catalog.tasks import suite_of
from harness.spec.identity import canonical, digest
from harness.spec.run import RunSpec
from harness.store.records import MembershipRecord, RunRecord, ScoreRecord
from harness.store.store import Store

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Candidate:
    """A run as one benchmark sees it: its place in the latest experiment that asks for it, its scores there.

    order: the run's position among all runs, for runs of the same second; overlap: by task, see `Store.overlaps`.
    """

    run: RunRecord
    spec: RunSpec
    place: MembershipRecord
    scores: tuple[ScoreRecord, ...]
    order: int
    overlap: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The canonical form of what determines the adapter."""
        return canonical(self.spec, frozenset({"identity"}))

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites of its tasks, each once; what was not recorded is read off the task's name."""
        found = (self.place.suites.get(task) or suite_of(task) for task in self.place.tasks)
        return tuple(dict.fromkeys(found))

    @property
    def moment(self) -> tuple[str, int]:
        """When the run finished; for one that did not, when it was written down."""
        return (self.run.finished_at or self.run.created_at, self.order)

    @property
    def has_result(self) -> bool:
        """Whether there is anything to report of the run."""
        return bool(self.scores) or self.run.status == "failed"


@dataclass(frozen=True)
class Selection:
    """The runs of one board. Runs that train nothing stand on the board of every data setting."""

    candidates: tuple[Candidate, ...]

    @property
    def recency(self) -> tuple[Any, ...]:
        """Greater for the board with the later result; among equals, the later one of a training."""
        reported = [candidate for candidate in self.candidates if candidate.has_result]
        trained = [candidate.moment for candidate in reported if candidate.spec.data is not None]
        return (max(candidate.moment for candidate in reported), max(trained, default=("", 0)))


def candidates(store: Store, places: Iterable[MembershipRecord]) -> list[Candidate]:
    """The runs at these places, the latest experiment's first; once for each benchmark that asks for them."""
    chosen: dict[Key, MembershipRecord] = {}
    for place in places:
        chosen.setdefault((place.run_id, *_benchmark_key(place)), place)
    ids = list(dict.fromkeys(place.run_id for place in chosen.values()))
    oldest_first = sorted(store.runs(ids), key=lambda run: run.created_at)
    runs = {run.run_id: (order, run) for order, run in enumerate(oldest_first)}
    scores = defaultdict(list)
    for score in store.scores(ids):
        scores[score.run_id].append(score)
    overlaps = store.overlaps(ids)
    specs = {run_id: RunSpec.model_validate(run.spec) for run_id, (_, run) in runs.items()}
    return [
        Candidate(
            run=runs[place.run_id][1],
            spec=specs[place.run_id],
            place=place,
            scores=tuple(score for score in scores[place.run_id] if score.task in place.tasks),
            order=runs[place.run_id][0],
            overlap=overlaps.get(place.run_id, {}),
        )
        for place in chosen.values()
    ]


def selections(found: Sequence[Candidate]) -> list[Selection]:
    """The boards that these runs make and that have something to say, the one with the latest result first."""
    protocols: dict[Key, dict[str | None, list[Candidate]]] = defaultdict(lambda: defaultdict(list))
    for candidate in found:
        protocols[_protocol_key(candidate)][_data_key(candidate)].append(candidate)
    boards = [Selection(tuple(members)) for by_data in protocols.values() for members in _per_data(by_data)]
    spoken = [board for board in boards if any(candidate.has_result for candidate in board.candidates)]
    return sorted(spoken, key=lambda board: board.recency, reverse=True)


def _per_data(by_data: dict[str | None, list[Candidate]]) -> list[list[Candidate]]:
    untrained = by_data.get(None, [])
    trained = [members for data, members in by_data.items() if data is not None]
    return [members + untrained for members in trained] or [untrained]


def _protocol_key(candidate: Candidate) -> Key:
    """Benchmark, base model and scoring protocol. A model is its content; its name where that is unknown."""
    place, model = candidate.place, candidate.spec.model
    name = None if model.content else model.name
    protocol = {"model": candidate.identity["model"], "score": canonical(candidate.spec, frozenset({"scoring"}))}
    return (*_benchmark_key(place), name, digest(protocol))


def _benchmark_key(place: MembershipRecord) -> Key:
    """A benchmark is its name, its tasks and what they weigh."""
    return (place.benchmark, frozenset(place.tasks), frozenset(place.weights.items()))


def _data_key(candidate: Candidate) -> str | None:
    return None if candidate.spec.data is None else digest(candidate.identity["data"])


def row_key(candidate: Candidate) -> str:
    """What makes two runs of a board one row: every identity field but the seed.

    The training template is part of it; where nothing is trained it determines nothing.
    """
    if candidate.spec.adapter.trains == "nothing":
        return digest(candidate.identity["adapter"])
    return digest({key: value for key, value in candidate.identity.items() if key != "seed"})
