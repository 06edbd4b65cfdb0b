"""One row of a leaderboard: all seeds of one method with one set of hyper-parameters."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.report.estimates import (
    Average,
    Estimate,
    TaskValue,
    averageable,
    bare,
    over_seeds,
    over_tasks,
    scale,
    with_interval,
)
from harness.report.selection import Candidate
from harness.report.versions import TaskVersions
from harness.store.records import ScoreRecord


@dataclass(frozen=True)
class Row:
    """A ranked row. Only seeds with scores count; a task without a score is absent from `scores`.

    group: rows that the evidence can't separate (None: not examined); seed_values, run_ids: by seed; train_seconds,
    tokens: means over the seeds; peak_memory_bytes: their maximum; extracted: percent of a task's items in whose
    output an answer was found; departures: where hyper-parameters differ from the experiment's recipe.
    """

    rank: int | None
    group: int | None
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
    tokens: int | None
    extracted: dict[str, float]
    departures: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def make_row(label: str, runs: Sequence[Candidate], tasks: Sequence[str], versions: TaskVersions) -> Row:
    """The row of these runs, which differ in their seeds alone; not ranked yet."""
    main = [versions.main(run) for run in runs]
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
        scores={task: found for task in tasks if (found := _task_value(task, main)) is not None},
        average=_average(runs[0], main),
        extracted=_extracted(tasks, runs, versions),
        departures=runs[0].place.departures,
        **_costs(runs),
    )


def _estimate(score: ScoreRecord) -> Estimate:
    factor = scale(score.metric)
    return Estimate(score.value * factor, None if score.stderr is None else score.stderr * factor)


def _task_value(task: str, main: Sequence[Mapping[str, ScoreRecord]]) -> TaskValue | None:
    found = [scores[task] for scores in main if task in scores]
    if not found:
        return None
    joined = over_seeds([_estimate(score) for score in found])
    return TaskValue(joined.value, joined.stderr, max(score.n for score in found), len(found))


def _average(run: Candidate, main: Sequence[Mapping[str, ScoreRecord]]) -> Average | None:
    """The mean of the averages of those seeds that have every task; their spread holds what tasks share."""
    tasks = run.place.tasks
    full = [scores for scores in main if all(task in scores for task in tasks)]
    if not full or len(run.suites) > 1 or not averageable([full[0][task].metric for task in tasks]):
        return None
    weights = [run.place.weights.get(task, 1.0) for task in tasks]
    averages = [over_tasks([_estimate(scores[task]) for task in tasks], weights) for scores in full]
    return with_interval(over_seeds(averages))


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
        "tokens": round(statistics.fmean(training.tokens for training in trained)) if trained and known else None,
    }
