"""Who is compared: two rows of a leaderboard, or two runs, by the names that a user gives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.errors import NotFoundError, nearest
from harness.report.labels import labelled_rows
from harness.report.outline import outlines
from harness.report.selection import Candidate, Selection
from harness.report.versions import task_versions
from harness.store.store import Store

SHORTEST_ID = 4
"""As few digits may name a run."""


@dataclass(frozen=True)
class Opponents:
    """The runs of both sides on the board where they meet; board: all of its runs."""

    a: str
    b: str
    first: tuple[Candidate, ...]
    second: tuple[Candidate, ...]
    board: tuple[Candidate, ...]

    @property
    def latest(self) -> Candidate:
        """The run whose place says what the benchmark is."""
        return max((*self.first, *self.second), key=lambda run: (run.spec.data is not None, run.moment))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The benchmark's tasks."""
        return self.latest.place.tasks

    @property
    def weights(self) -> dict[str, float]:
        """The tasks' shares in the average, empty where all weigh the same."""
        return dict(self.latest.place.weights)

    @property
    def benchmark(self) -> str:
        """The benchmark's name."""
        return self.latest.place.benchmark

    @property
    def model(self) -> str:
        """The base model's name."""
        return self.latest.spec.model.name

    @property
    def one_suite(self) -> bool:
        """Whether an average over the tasks means anything."""
        return len(self.latest.suites) == 1

    @property
    def about_weights(self) -> tuple[str, ...]:
        """The sides that are an adapter which was loaded: one training's weights, whatever the other side is."""
        sides = ((self.a, self.first), (self.b, self.second))
        return tuple(name for name, runs in sides if runs[0].spec.adapter.loads is not None)

    def paired(self) -> list[tuple[str, str]]:
        """The run ids of both sides in pairs: those of the seeds that both have.

        A side without seeds (the bare base, an adapter that was loaded) meets every run of the other; one run meets
        one run whatever their seeds are. Raises NotFoundError where there is no pair.
        """
        first, second = ({run.run.seed: run.run.run_id for run in side} for side in (self.first, self.second))
        if len(first) == len(second) == 1:
            return list(zip(first.values(), second.values(), strict=True))
        if set(first) == {None}:
            return [(first[None], second[seed]) for seed in _sorted(second)]
        if set(second) == {None}:
            return [(first[seed], second[None]) for seed in _sorted(first)]
        seeds = _sorted(first.keys() & second.keys())
        if not seeds:
            raise NotFoundError(f"{self.a} and {self.b} have no seed in common")
        return [(first[seed], second[seed]) for seed in seeds]


def _sorted(seeds: Iterable[int | None]) -> list[int]:
    return sorted(seed for seed in seeds if seed is not None)


def opponents(
    store: Store,
    a: str,
    b: str,
    *,
    experiment: str | None = None,
    benchmark: str | None = None,
    model: str | None = None,
) -> Opponents:
    """The two sides, on the board with the latest result that has both.

    a, b: a row's label, a method's name where one row has it, or the first digits of a run id. Raises NotFoundError
    for a name that nothing has (with the nearest), that several rows have, and for two that meet on no board.
    """
    boards: list[_Board] = []
    for outline in outlines(store, experiment=experiment, benchmark=benchmark, model=model):
        board = _Board(outline.selection(store))
        if board.find(a) and board.find(b):
            return Opponents(a, b, board.one(a), board.one(b), board.runs)
        boards.append(board)
    if not boards:
        raise NotFoundError("there are no results to compare yet; harness run EXPERIMENT makes some")
    for name in (a, b):
        if not any(board.find(name) for board in boards):
            known = {label for board in boards for label in board.rows}
            raise NotFoundError(f"no row or run {name!r}, {nearest(name, known)}")
    raise NotFoundError(f"{a} and {b} stand on no common leaderboard: model, data or scoring differ")


class _Board:
    """The rows of a board by label."""

    def __init__(self, selection: Selection) -> None:
        self.runs = selection.candidates
        versions = task_versions(self.runs)
        self.rows: dict[str, Sequence[Candidate]] = dict(labelled_rows(run for run in self.runs if versions.main(run)))

    def find(self, name: str) -> dict[str, Sequence[Candidate]]:
        """The rows or runs that are called so: by label, else by method, else by run id."""
        if name in self.rows:
            return {name: self.rows[name]}
        methods = {label: runs for label, runs in self.rows.items() if runs[0].run.method == name}
        if methods or len(name) < SHORTEST_ID:
            return methods
        return {
            run.run.run_id: [run] for runs in self.rows.values() for run in runs if run.run.run_id.startswith(name)
        }

    def one(self, name: str) -> tuple[Candidate, ...]:
        """The row or run of this name. Raises NotFoundError where there are several."""
        found = self.find(name)
        if len(found) > 1:
            raise NotFoundError(f"{name!r} means {len(found)} rows: {', '.join(found)}")
        return tuple(next(iter(found.values())))
