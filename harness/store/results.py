"""Writing down what training and scoring returned."""

from __future__ import annotations

import json
import math
import zlib

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from harness.errors import RunError
from harness.store.records import Sample, TaskResult, TrainResult
from harness.store.registry import now
from harness.store.tables import Item, Outcome, ScoredTask, Scoring, TaskScore, Training


def record_training(session: Session, train_id: str, result: TrainResult) -> None:
    """Adds a training, in place of an earlier one of the same adapter (whose weights were lost)."""
    row = session.get(Training, train_id) or Training(train_id=train_id)
    for name in (
        "seconds", "steps", "tokens", "peak_memory_bytes", "trainable_params", "base_params", "trainable_percent",
        "adapter_bytes", "counts", "provenance",
    ):  # fmt: skip
        setattr(row, name, getattr(result, name))
    row.loss = zlib.compress(json.dumps(result.loss).encode())
    row.trained_at = now()
    session.add(row)


def record_task(session: Session, run: int, result: TaskResult) -> None:
    """Adds a task's scores and samples; those of a task that has them already stay as they are.

    Raises RunError for a score that is not a number.
    """
    for score in result.scores:
        if math.isnan(score.value):
            raise RunError("diverged", f"{result.task}: {score.metric} is not a number")
    task = _task(session, result)
    if session.get(Scoring, (run, task)) is not None:
        return
    session.add(Scoring(run=run, task=task, seconds=result.seconds, provenance=result.provenance, scored_at=now()))
    for position, score in enumerate(result.scores):
        session.add(
            TaskScore(
                run=run, task=task, metric=score.metric, position=position,
                value=score.value, stderr=score.stderr, n=score.n,
            )
        )  # fmt: skip
    session.flush()
    items = _items(session, task, result.samples)
    if result.samples:
        session.execute(insert(Outcome), [_outcome(run, items, sample) for sample in result.samples])


def _task(session: Session, result: TaskResult) -> int:
    same = {"name": result.task, "version": result.version, "fingerprint": result.fingerprint}
    row = session.scalar(select(ScoredTask).filter_by(**same))
    if row is None:
        row = ScoredTask(**same)
        session.add(row)
        session.flush()
    return row.id


def _items(session: Session, task: int, samples: tuple[Sample, ...]) -> dict[tuple[int, str], int]:
    """The ids of the items, the new ones added."""
    wanted = select(Item.doc_id, Item.hash, Item.id).where(Item.task == task)
    known = {(doc_id, hash): id for doc_id, hash, id in session.execute(wanted)}
    new = [sample for sample in samples if (sample.doc_id, sample.doc_hash) not in known]
    if new:
        session.execute(insert(Item), [{"task": task, "doc_id": s.doc_id, "hash": s.doc_hash} for s in new])
        known = {(doc_id, hash): id for doc_id, hash, id in session.execute(wanted)}
    return known


def _outcome(run: int, items: dict[tuple[int, str], int], sample: Sample) -> dict[str, object]:
    return {
        "run": run,
        "item": items[(sample.doc_id, sample.doc_hash)],
        "outcome": sample.outcome,
        "answer": sample.answer,
        "output_tokens": sample.output_tokens,
        "output": None if sample.output is None else zlib.compress(sample.output.encode()),
    }
