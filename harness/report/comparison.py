"""The paired comparison of two methods, or of two runs, task by task and over a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import NotFoundError
from harness.report.estimates import averageable, scale
from harness.report.evidence import Evidence, evidence
from harness.report.groups import common
from harness.report.opponents import Opponents
from harness.report.versions import task_versions
from harness.store.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Difference:
    """One task's or the average's comparison, in the units of a leaderboard (percentage points for accuracies).

    seeds: how many pairs of trainings it is over; n: items both answered; a, b: means over these seeds; wins, losses,
    ties: items on which a's mean over the seeds is above, below and at b's. None where it can't be known: the outcomes
    of the single items aren't recorded.
    """

    seeds: int
    n: int | None
    a: float
    b: float
    difference: float
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    wins: int | None = None
    losses: int | None = None
    ties: int | None = None


@dataclass(frozen=True)
class Comparison:
    """a against b: by task, and the average where both have every task of the benchmark.

    A task is compared on the seeds of which both have it, the average on those of which both have every task.
    seeds: the most of these; target: `method`, or `weights` where there is one seed or a side is an adapter that was
    loaded; about_weights: such sides.
    """

    a: str
    b: str
    benchmark: str
    model: str
    seeds: int
    target: str
    tasks: Mapping[str, Difference]
    average: Difference | None
    about_weights: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        tasks = [{"task": task, **asdict(found)} for task, found in self.tasks.items()]
        about = {name: getattr(self, name) for name in ("benchmark", "model", "seeds", "target")}
        average = None if self.average is None else asdict(self.average)
        return {"a": self.a, "b": self.b, "tasks": tasks, "average": average, **about}


def compared(store: Store, opponents: Opponents) -> Comparison:
    """Compares the two on the items and the seeds that both have. See docs/statistics.md.

    Raises NotFoundError where they share no task, or no seed.
    """
    candidates = (*opponents.first, *opponents.second)
    versions = task_versions(opponents.board)
    scores = {run.run.run_id: versions.main(run) for run in candidates}
    pairs = opponents.paired()
    having = {
        task: [pair for pair in pairs if all(task in scores[run_id] for run_id in pair)] for task in opponents.tasks
    }
    shared = [task for task in opponents.tasks if having[task]]
    if not shared:
        raise NotFoundError(f"{opponents.a} and {opponents.b} have no task in common that both have scored")
    whole = [pair for pair in pairs if all(pair in having[task] for task in opponents.tasks)]
    known = evidence(store, scores, versions, shared)
    metrics = {task: scores[having[task][0][0]][task].metric for task in shared}

    def difference(tasks: Sequence[str], weights: Sequence[float], over: Sequence[tuple[str, str]]) -> Difference:
        answers = [_answers(known, task, over) for task in tasks]
        if any(pair is None for pair in answers):
            return _from_scores(scores, tasks, weights, over, metrics)
        return _from_outcomes([pair for pair in answers if pair is not None], weights, scale(metrics[tasks[0]]))

    weights = [opponents.weights.get(task, 1.0) for task in opponents.tasks]
    averaged = whole and averageable(list(metrics.values())) and opponents.one_suite
    seeds = max(map(len, having.values()))
    return Comparison(
        a=opponents.a,
        b=opponents.b,
        benchmark=opponents.benchmark,
        model=opponents.model,
        seeds=seeds,
        target="method" if seeds > 1 and not opponents.about_weights else "weights",
        tasks={task: difference([task], [1.0], having[task]) for task in shared},
        average=difference(list(opponents.tasks), weights, whole) if averaged else None,
        about_weights=opponents.about_weights,
    )


Pair = tuple["NDArray", "NDArray"]


def _answers(known: Evidence, task: str, pairs: Sequence[tuple[str, str]]) -> Pair | None:
    """Both sides' outcomes (seeds, items) on the items that both answered."""
    first, second = zip(*pairs, strict=True)
    sides = [known.answers(task, run_ids) for run_ids in (first, second)]
    if any(side is None for side in sides):
        return None
    sets = [known.items(task, run_ids[0]) for run_ids in (first, second)]
    keys = [list(zip(each.doc_ids, each.hashes, strict=True)) for each in sets]
    places = common(keys, {each.digest for each in sets})
    if not len(places[0]):
        return None
    a, b = (side[:, chosen] for side, chosen in zip(sides, places, strict=True) if side is not None)
    return a, b


def _from_outcomes(pairs: Sequence[Pair], weights: Sequence[float], unit: float) -> Difference:
    from harness.report.statistics.paired import compare

    found = compare([a for a, _ in pairs], [b for _, b in pairs], weights)
    total = sum(weights)
    a, b = (
        sum(weight * float(pair[side].mean()) for weight, pair in zip(weights, pairs, strict=True)) / total * unit
        for side in (0, 1)
    )
    bounds = (None if bound is None else bound * unit for bound in (found.ci_low, found.ci_high))
    return Difference(
        len(pairs[0][0]), sum(pair[0].shape[1] for pair in pairs), a, b, found.difference * unit, *bounds,
        p_value=found.p_value, wins=found.wins, losses=found.losses, ties=found.ties,
    )  # fmt: skip


def _from_scores(
    scores: Mapping[str, Mapping[str, Any]],
    tasks: Sequence[str],
    weights: Sequence[float],
    pairs: Sequence[tuple[str, str]],
    metrics: Mapping[str, str],
) -> Difference:
    """The recorded means alone: without outcomes nothing is claimed about the difference."""
    a, b = (
        sum(
            weight * scale(metrics[task]) * sum(scores[run_id][task].value for run_id in side) / len(side)
            for weight, task in zip(weights, tasks, strict=True)
        )
        / sum(weights)
        for side in zip(*pairs, strict=True)
    )
    return Difference(len(pairs), None, a, b, a - b)
