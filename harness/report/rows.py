"""One row of a leaderboard: all seeds of one method with one set of hyper-parameters."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.report.estimates import (
    Average,
    Estimate,
    TaskValue,
    averageable,
    bare,
    from_outcomes,
    over_seeds,
    over_tasks,
    scale,
    with_interval,
)
from harness.report.evidence import Evidence
from harness.report.selection import Candidate
from harness.report.versions import TaskVersions
from harness.store.records import ScoreRecord

Scored = Mapping[str, Mapping[str, ScoreRecord]]
"""By run id, in the seeds' order, each task's main score."""


@dataclass(frozen=True)
class Row:
    """A ranked row. Only seeds with scores count; a task without a score is absent from `scores`.

    group: letters; rows that share one can't be told apart (None: not compared, see groups.py); seed_values, run_ids:
    by seed; train_seconds, tokens: means over the seeds; peak_memory_bytes: their maximum; extracted: percent of a
    task's items in whose output an answer was found; departures: where hyper-parameters differ from the experiment's
    recipe.
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
    tokens: int | None
    extracted: dict[str, float]
    departures: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def make_row(
    label: str, runs: Sequence[Candidate], tasks: Sequence[str], versions: TaskVersions, evidence: Evidence
) -> Row:
    """The row of these runs, which differ in their seeds alone; not ranked yet."""
    by_seed = sorted(runs, key=lambda run: run.run.seed or 0)
    scored = {run.run.run_id: versions.main(run) for run in by_seed}
    return Row(
        rank=None,
        group=None,
        label=label,
        method=runs[0].run.method,
        model=runs[0].spec.model.name,
        seeds=len(runs),
        seed_values=tuple(run.run.seed for run in by_seed if run.run.seed is not None),
        run_ids=tuple(run.run.run_id for run in by_seed),
        scores={task: found for task in tasks if (found := _task_value(task, scored, evidence)) is not None},
        average=_average(runs[0], scored, evidence),
        extracted=_extracted(tasks, runs, versions),
        departures=runs[0].place.departures,
        **_costs(runs),
    )


def _estimate(score: ScoreRecord) -> Estimate:
    factor = scale(score.metric)
    return Estimate(score.value * factor, None if score.stderr is None else score.stderr * factor)


def _task_value(task: str, scored: Scored, evidence: Evidence) -> TaskValue | None:
    found = {run_id: scores[task] for run_id, scores in scored.items() if task in scores}
    if not found:
        return None
    joined = _from_records([_estimate(score) for score in found.values()])
    n, unit = max(score.n for score in found.values()), scale(next(iter(found.values())).metric)
    answers = evidence.answers(task, list(found))
    if answers is not None:
        known = from_outcomes([answers], None, unit)
        # One set of weights keeps the standard error that lm-eval gives it.
        joined = known if len(found) > 1 else replace(known, stderr=joined.stderr)
    return TaskValue(joined.value, joined.stderr, n, len(found), joined.ci_low, joined.ci_high)


def _from_records(estimates: Sequence[Estimate]) -> Average:
    return with_interval(over_seeds(estimates))


def _average(run: Candidate, scored: Scored, evidence: Evidence) -> Average | None:
    """The mean of the averages of those seeds that have every task; their spread holds what tasks share."""
    tasks = run.place.tasks
    full = {run_id: scores for run_id, scores in scored.items() if all(task in scores for task in tasks)}
    first = next(iter(full.values()), None)
    if first is None or len(run.suites) > 1 or not averageable([first[task].metric for task in tasks]):
        return None
    weights = [run.place.weights.get(task, 1.0) for task in tasks]
    joined = _from_records([over_tasks([_estimate(scores[t]) for t in tasks], weights) for scores in full.values()])
    answers = [evidence.answers(task, list(full)) for task in tasks]
    if any(found is None for found in answers):
        return joined
    known = from_outcomes(answers, weights, scale(first[tasks[0]].metric))
    return known if len(full) > 1 else replace(known, stderr=joined.stderr)


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
