"""Pooling another database's results into ours: identical ones once, missing ones added, conflicting ones named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from harness.errors import StoreError
from harness.store.increments import keeping as increments
from harness.store.merged_attempts import take_attempts, take_late_results
from harness.store.merged_documents import DocumentIds
from harness.store.merged_results import same_result
from harness.store.merged_tasks import TaskIds
from harness.store.tables import Experiment, Membership, Run, SampleSet, Scoring, TaskScore, Training, copied

COPIED = ("status", "kind", "error", "finished_at")


@dataclass(frozen=True)
class Merged:
    """What was added, and which runs were left out since both databases have other results or weights of them."""

    experiments: int
    runs: int
    trainings: int
    scores: int
    conflicts: tuple[str, ...]


class MergeConflict(StoreError):
    """Both databases have results of a run, or weights that it scores, and they differ."""


def merge(ours: Session, theirs: Session, keep_ours: bool) -> Merged:
    """Adds to `ours` what `theirs` has and ours lacks. What ours has recorded stays as it is.

    A run that is being worked on there waits here, and that attempt at it counts as lost.
    keep_ours: leave out the runs that conflict. Raises MergeConflict, which names them all, otherwise; nothing is
    written then.
    """
    known = {run.run_id: run for run in ours.scalars(select(Run))}
    trained = {row.train_id: row for row in ours.scalars(select(Training))}
    tasks, documents = TaskIds(ours, theirs), DocumentIds(ours, theirs)
    conflicts = dict(_conflicts(ours, theirs, known, trained, tasks))
    if conflicts and not keep_ours:
        raise MergeConflict("\n".join(conflicts.values()))
    taken = [run for run in theirs.scalars(select(Run).order_by(Run.id)) if run.run_id not in conflicts]
    new_runs = [run for run in taken if run.run_id not in known]
    for run in taken:
        known[run.run_id] = _run(ours, run, known.get(run.run_id), documents)
    ours.flush()
    ids = {run.id: known[run.run_id].id for run in taken}
    trainings = _trainings(ours, theirs, {run.train_id for run in taken}, trained, documents)
    scores = _scores(ours, theirs, ids, tasks, documents)
    for run, own in ids.items():
        take_attempts(ours, theirs, run, own, documents)
        take_late_results(ours, theirs, run, own)
    experiments = _experiments(ours, theirs, ids)
    return Merged(experiments, len(new_runs), trainings, scores, tuple(conflicts.values()))


def _conflicts(
    ours: Session, theirs: Session, known: dict[str, Run], trained: dict[str, Training], tasks: TaskIds
) -> Iterator[tuple[str, str]]:
    others = {row.train_id: row for row in theirs.scalars(select(Training))}
    for run in theirs.scalars(select(Run).order_by(Run.id)):
        saved = {_saved(trained.get(run.train_id)), _saved(others.get(run.train_id))} - {None}
        if len(saved) > 1:
            yield run.run_id, f"run {run.run_id}: adapter {run.train_id} was trained to other weights there"
            continue
        own = known.get(run.run_id)
        if own is None:
            continue
        for theirs_task, task in _both_scored(ours, theirs, own, run, tasks):
            if not same_result((theirs, run.id, theirs_task), (ours, own.id, task)):
                yield run.run_id, f"run {run.run_id}: {tasks.name(theirs_task)} was answered otherwise there"
                break


def _saved(training: Training | None) -> Any:
    """The fingerprint of the weights that were saved; None where that isn't known."""
    return None if training is None else training.provenance.get("saved")


def _both_scored(ours: Session, theirs: Session, own: Run, run: Run, tasks: TaskIds) -> Iterator[tuple[int, int]]:
    """Their and our ids of the tasks of which both have a score."""
    for scoring in theirs.scalars(select(Scoring).where(Scoring.run == run.id)):
        task = tasks.known(scoring.task)
        if task is not None and ours.get(Scoring, (own.id, task)) is not None:
            yield scoring.task, task


def _run(ours: Session, run: Run, own: Run | None, documents: DocumentIds) -> Run:
    if own is None:
        spec = {"setting": documents.own(run.setting), "point": documents.own(run.point)}
        status = "pending" if run.status == "running" else run.status
        own = copied(run, worker=None, stage=None, status=status, heartbeat_at=None, **spec)
        ours.add(own)
    elif run.status == "complete" and own.status in ("pending", "failed"):
        for name in COPIED:
            setattr(own, name, getattr(run, name))
    if own.status != "running":  # else its worker would lose its claim
        own.token = max(own.token, run.token)
    return own


def _trainings(
    ours: Session, theirs: Session, wanted: set[str], trained: dict[str, Training], documents: DocumentIds
) -> int:
    there = {row.train_id: row for row in theirs.scalars(select(Training)) if row.train_id in wanted}
    rows = [row for train_id, row in there.items() if train_id not in trained]
    ours.add_all([copied(row, shared=documents.own(row.shared)) for row in rows])
    ours.flush()
    increments.take(ours, theirs, there)
    return len(rows)


def _scores(ours: Session, theirs: Session, ids: dict[int, int], tasks: TaskIds, documents: DocumentIds) -> int:
    """The number of (run, task) pairs that were added."""
    added = 0
    for run, own in ids.items():
        for scoring in theirs.scalars(select(Scoring).where(Scoring.run == run)):
            place = {"run": own, "task": tasks.own(scoring.task)}
            if ours.get(Scoring, (own, place["task"])) is not None:
                continue
            added += 1
            ours.add(copied(scoring, shared=documents.own(scoring.shared), **place))
            scored = select(TaskScore).where(TaskScore.run == run, TaskScore.task == scoring.task)
            ours.add_all([copied(row, **place) for row in theirs.scalars(scored)])
            if (samples := theirs.get(SampleSet, (run, scoring.task))) is not None:
                ours.add(copied(samples, item_set=tasks.own_items(samples.item_set), **place))
    return added


def _experiments(ours: Session, theirs: Session, ids: dict[int, int]) -> int:
    known = {(row.name, row.profile): row for row in ours.scalars(select(Experiment))}
    added = 0
    for experiment in theirs.scalars(select(Experiment).order_by(Experiment.id)):
        own = known.get((experiment.name, experiment.profile))
        if own is None:
            own, added = copied(experiment), added + 1
            ours.add(own)
            ours.flush()
        for place in theirs.scalars(select(Membership).where(Membership.experiment == experiment.id)):
            if place.run in ids and ours.get(Membership, (own.id, ids[place.run])) is None:
                ours.add(copied(place, experiment=own.id, run=ids[place.run]))
    return added
