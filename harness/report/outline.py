"""The leaderboards that a database holds, found without reading their runs: which runs each has, and its setting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.report.selection import RANKED, Candidate, Key, Selection, benchmark_key, candidates
from harness.report.setting import Setting, read_setting
from harness.store.records import PlaceGroup, Standing
from harness.store.store import Store

Moment = tuple[str, tuple[str, int]]
NEVER: Moment = ("", ("", 0))
SECONDS = len("2026-01-01 00:00:00")


@dataclass
class Members:
    """Runs of one benchmark, base model, scoring protocol and training-data setting."""

    runs: dict[str, Key] = field(default_factory=dict)
    """By run id, what is equal for runs whose specifications differ in seed and ids alone."""
    models: set[str] = field(default_factory=set)
    latest: Moment = NEVER
    latest_place: tuple[PlaceGroup, Setting] | None = None
    reported: Moment = NEVER

    def add(self, run: Standing, group: PlaceGroup, setting: Setting) -> None:
        """Adds a run."""
        self.runs[run.run_id] = (group.setting, run.point)
        self.models.add(setting.model.name)
        moment = _moment(run)
        if self.latest_place is None or moment > self.latest:
            self.latest, self.latest_place = moment, (group, setting)
        if run.scored or run.status == "failed":
            self.reported = max(self.reported, moment)


@dataclass(frozen=True)
class Outline:
    """A board that has something to say. Runs that train nothing stand on the board of every data setting."""

    trained: Members
    untrained: Members
    experiment: str | None

    @property
    def recency(self) -> tuple[Moment, Moment]:
        """Greater for the board with the later result; among equals, the later one of a training."""
        return max(self.trained.reported, self.untrained.reported), self.trained.reported

    @property
    def _place(self) -> tuple[PlaceGroup, Setting]:
        """The place of the latest run; one that trained comes before all others."""
        found = self.trained.latest_place or self.untrained.latest_place
        assert found is not None
        return found

    def setting(self) -> dict[str, Any]:
        """As `Leaderboard.setting`."""
        group, setting = self._place
        return {"benchmark": group.benchmark, "weights": group.weights, **setting.to_json()}

    @property
    def models(self) -> set[str]:
        """The names by which its runs call the base model."""
        return self.trained.models | self.untrained.models

    def selection(self, store: Store) -> Selection:
        """Reads its runs."""
        key = benchmark_key(self._place[0])
        kinds = {**self.trained.runs, **self.untrained.runs}
        places = [place for place in store.memberships(self.experiment, list(kinds)) if benchmark_key(place) == key]
        found: list[Candidate] = candidates(store, places, kinds)
        return Selection(tuple(sorted(found, key=lambda run: run.run.run_id in self.untrained.runs)))


def outlines(
    store: Store,
    *,
    experiment: str | None = None,
    benchmark: str | None = None,
    model: str | None = None,
    run_ids: Collection[str] | None = None,
) -> list[Outline]:
    """The boards that match, the one with the latest result first."""
    groups = store.groups(experiment, benchmark, None if run_ids is None else list(run_ids))
    found = [
        Outline(trained, untrained, experiment)
        for by_data in _protocols(groups).values()
        for trained, untrained in _pairs(by_data)
    ]
    spoken = [each for each in found if each.recency[0] > NEVER and (model is None or model in each.models)]
    return sorted(spoken, key=lambda each: each.recency, reverse=True)


def _protocols(groups: Sequence[PlaceGroup]) -> dict[Key, dict[str | None, Members]]:
    """By benchmark and protocol, and by training data, the runs; each at its place in the latest experiment."""
    found: dict[Key, dict[str | None, Members]] = defaultdict(lambda: defaultdict(Members))
    settings: dict[int, Setting] = {}
    taken: dict[Key, set[str]] = defaultdict(set)
    for group in groups:
        if group.role not in RANKED:
            continue
        if group.setting not in settings:
            settings[group.setting] = read_setting(group.parts)
        setting, key = settings[group.setting], benchmark_key(group)
        members = found[(*key, setting.protocol)][setting.trained_on]
        for run in group.runs:
            if run.run_id not in taken[key]:
                taken[key].add(run.run_id)
                members.add(run, group, setting)
    return found


def _pairs(by_data: dict[str | None, Members]) -> list[tuple[Members, Members]]:
    """The trained and the untrained runs of each board."""
    untrained = by_data.get(None, Members())
    trained = [members for data, members in by_data.items() if data is not None]
    return [(members, untrained) for members in trained] or [(Members(), untrained)]


def _moment(run: Standing) -> Moment:
    """When the run finished; for one that did not, when it was written down. Runs of one second are told apart."""
    return (run.finished_at or run.created_at)[:SECONDS], (run.created_at[:SECONDS], run.number)
