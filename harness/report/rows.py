"""One row of a leaderboard: all seeds of one method with one set of hyper-parameters."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.report.estimates import (
    Average,
    Estimate,
    TaskValue,
    averageable,
    bare,
    from_mean,
    over_seeds,
    over_tasks,
    scale,
    with_interval,
)
from harness.report.evidence import Asked, Evidence, Means
from harness.report.selection import Candidate
from harness.report.versions import TaskVersions
from harness.store.records import MembershipRecord, ScoreRecord

if TYPE_CHECKING:
    from harness.report.statistics.mean import Mean

Scored = Mapping[str, Mapping[str, ScoreRecord]]
"""By run id, in the seeds' order, each task's main score."""


@dataclass(frozen=True)
class Row:
    """A ranked row. Only seeds with scores count; a task without a score is absent from `scores`.

    group: letters; rows that share one can't be told apart (None: not compared, see groups.py); seed_values, run_ids:
    by seed; train_seconds, tokens: means over the seeds; peak_memory_bytes: their maximum; adapter_bytes: the saved
    weights' size; extracted: percent of a task's items in whose output an answer was found; departures: where
    hyper-parameters differ from the experiment's recipe; tuned: what was `chosen` on validation examples, `by` what,
    with which `seeds`, among how many `points`, how many of them `failed`, and its `value`; is_bare: it is the base
    model as it is, the same weights beside every seed of the others.
    """

    rank: int | None
    group: str | None
    label: str
    method: str
    model: str
    trainable_params: int | None
    trainable_percent: float | None
    seeds: int
    seed_values: tuple[int, ...]
    run_ids: tuple[str, ...]
    scores: dict[str, TaskValue]
    average: Average | None
    train_seconds: float | None
    peak_memory_bytes: int | None
    adapter_bytes: int | None
    tokens: int | None
    extracted: dict[str, float]
    departures: tuple[str, ...]
    tuned: dict[str, Any] | None = None
    is_bare: bool = False

    @property
    def marked(self) -> str:
        """The label, with † where the recipe differs and ‡ where the point was chosen on validation examples."""
        marks = [mark for mark, has in (("†", self.departures), ("‡", self.tuned)) if has]
        return " ".join([self.label, *marks])

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values."""
        plain = {key: value for key, value in asdict(self).items() if key != "is_bare"}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def make_rows(
    labelled: Sequence[tuple[str, Sequence[Candidate]]],
    tasks: Sequence[str],
    versions: TaskVersions,
    evidence: Evidence,
) -> list[Row]:
    """The rows of these runs, not ranked yet.

    labelled: each row's label and its runs, which differ in their seeds alone.
    """
    found = [_scored(runs, versions) for _, runs in labelled]
    asked = [
        each
        for (_, runs), scored in zip(labelled, found, strict=True)
        for each in (*(_task_mean(task, scored) for task in tasks), _whole_mean(runs[0], scored))
    ]
    means = evidence.means(each for each in asked if each is not None)
    return [
        _row(label, runs, tasks, versions, scored, means)
        for (label, runs), scored in zip(labelled, found, strict=True)
    ]


def _scored(runs: Sequence[Candidate], versions: TaskVersions) -> Scored:
    by_seed = sorted(runs, key=lambda run: run.run.seed or 0)
    return {run.run.run_id: versions.main(run) for run in by_seed}


def _task_mean(task: str, scored: Scored) -> Asked | None:
    """The mean of a task over the seeds that have it."""
    found = tuple(run_id for run_id, scores in scored.items() if task in scores)
    return (found, (task,), None) if found else None


def _whole_mean(run: Candidate, scored: Scored) -> Asked | None:
    """The mean over the benchmark and those seeds that have every task; None where it would mean nothing."""
    tasks = run.place.tasks
    full = [run_id for run_id, scores in scored.items() if all(task in scores for task in tasks)]
    if not full or len(run.suites) > 1 or not averageable([scored[full[0]][task].metric for task in tasks]):
        return None
    return tuple(full), tuple(tasks), tuple(run.place.weights.get(task, 1.0) for task in tasks)


def _row(
    label: str,
    runs: Sequence[Candidate],
    tasks: Sequence[str],
    versions: TaskVersions,
    scored: Scored,
    means: Means,
) -> Row:
    by_seed = sorted(runs, key=lambda run: run.run.seed or 0)
    return Row(
        rank=None,
        group=None,
        label=label,
        method=runs[0].run.method,
        model=runs[0].spec.model.name,
        seeds=len(runs),
        seed_values=tuple(run.run.seed for run in by_seed if run.run.seed is not None),
        run_ids=tuple(run.run.run_id for run in by_seed),
        scores={task: found for task in tasks if (found := _task_value(task, scored, means)) is not None},
        average=_average(runs[0], scored, means),
        extracted=_extracted(tasks, runs, versions),
        departures=runs[0].place.departures,
        tuned=_tuned(runs[0].place),
        is_bare=runs[0].is_bare,
        **_costs(runs),
    )


def _tuned(place: MembershipRecord) -> dict[str, Any] | None:
    """What was chosen for the row, and among how many points."""
    if place.role != "tuned" or place.tuning is None:
        return None
    return {name: place.tuning[name] for name in ("points", "failed", "by", "seeds", "chosen", "value")}


def _estimate(score: ScoreRecord) -> Estimate:
    factor = scale(score.metric)
    return Estimate(score.value * factor, None if score.stderr is None else score.stderr * factor)


def _task_value(task: str, scored: Scored, means: Means) -> TaskValue | None:
    asked = _task_mean(task, scored)
    if asked is None:
        return None
    found = [scored[run_id][task] for run_id in asked[0]]
    n, unit = max(score.n for score in found), scale(found[0].metric)
    joined = _joined(means.get(asked), unit, [_estimate(score) for score in found])
    return TaskValue(joined.value, joined.stderr, n, len(found), joined.ci_low, joined.ci_high)


def _joined(mean: Mean | None, unit: float, estimates: Sequence[Estimate]) -> Average:
    """What the outcomes say; where they are not recorded, what the seeds' recorded estimates say.

    One set of weights keeps the standard error that lm-eval gives it.
    """
    if mean is not None and len(estimates) > 1:
        return from_mean(mean, unit)
    recorded = with_interval(over_seeds(estimates))
    return recorded if mean is None else replace(from_mean(mean, unit), stderr=recorded.stderr)


def _average(run: Candidate, scored: Scored, means: Means) -> Average | None:
    """The mean of the averages of those seeds that have every task; their spread holds what tasks share."""
    asked = _whole_mean(run, scored)
    if asked is None:
        return None
    full, tasks, weights = asked
    unit = scale(scored[full[0]][tasks[0]].metric)
    seeds = [over_tasks([_estimate(scored[run_id][task]) for task in tasks], weights or ()) for run_id in full]
    return _joined(means.get(asked), unit, seeds)


def _extracted(tasks: Sequence[str], runs: Sequence[Candidate], versions: TaskVersions) -> dict[str, float]:
    shares = {
        task: [
            score.value * 100
            for run in runs
            for score in versions.current(run)
            if score.task == task and bare(score.metric) == "extracted"
        ]
        for task in tasks
    }
    return {task: statistics.fmean(values) for task, values in shares.items() if values}


def _costs(runs: Sequence[Candidate]) -> dict[str, Any]:
    """What training took; a base model on its own trains no parameter, at no cost that could be compared.

    What it took to train an adapter that was loaded isn't known.
    """
    known = runs[0].spec.adapter.loads is None
    trained = [run.run.training for run in runs if run.run.training is not None]
    untrained = 0 if runs[0].spec.adapter.trains == "nothing" else None
    peaks = [training.peak_memory_bytes for training in trained if training.peak_memory_bytes is not None]
    return {
        "trainable_params": trained[0].trainable_params if trained else untrained,
        "trainable_percent": trained[0].trainable_percent if trained else untrained,
        "train_seconds": statistics.fmean(training.seconds for training in trained) if trained and known else None,
        "peak_memory_bytes": max(peaks, default=None),
        "adapter_bytes": trained[0].adapter_bytes if trained else untrained,
        "tokens": round(statistics.fmean(training.tokens for training in trained)) if trained and known else None,
    }
