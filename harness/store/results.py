"""Writing down what training and scoring returned."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from harness.errors import RunError
from harness.store.documents import Documents
from harness.store.increments import keeping as increments
from harness.store.packing import pack_list, pack_outcomes
from harness.store.records import Sample, TaskResult, TrainResult
from harness.store.registry import now
from harness.store.tables import ItemSet, SampleSet, ScoredTask, Scoring, TaskScore, Training


def record_training(session: Session, train_id: str, result: TrainResult) -> None:
    """Adds a training, in place of an earlier one of the same adapter (whose weights were lost)."""
    row = session.get(Training, train_id) or Training(train_id=train_id)
    saved = (row.provenance or {}).get("saved")
    for name in (
        "seconds", "steps", "tokens", "peak_memory_bytes", "trainable_params", "base_params", "trainable_percent",
        "adapter_bytes", "counts",
    ):  # fmt: skip
        setattr(row, name, getattr(result, name))
    row.provenance, row.shared = Documents(session).keep_provenance(result.provenance)
    row.loss = zlib.compress(json.dumps(result.loss).encode())
    row.trained_at = now()
    session.add(row)
    session.flush()
    if result.increments:
        increments.keep(session, train_id, result.increments)
    elif saved is None or saved != result.provenance.get("saved"):
        increments.forget(session, train_id)


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
    own, shared = Documents(session).keep_provenance(result.provenance)
    session.add(Scoring(run=run, task=task, seconds=result.seconds, provenance=own, shared=shared, scored_at=now()))
    for position, score in enumerate(result.scores):
        session.add(
            TaskScore(
                run=run, task=task, metric=score.metric, position=position,
                value=score.value, stderr=score.stderr, n=score.n,
            )
        )  # fmt: skip
    session.flush()
    if samples := sorted(result.samples, key=lambda sample: sample.doc_id):
        session.add(_sample_set(run, task, _item_set(session, task, samples), samples))


def _task(session: Session, result: TaskResult) -> int:
    same = {"name": result.task, "version": result.version, "fingerprint": result.fingerprint}
    row = session.scalar(select(ScoredTask).filter_by(**same))
    if row is None:
        row = ScoredTask(**same)
        session.add(row)
        session.flush()
    return row.id


def _item_set(session: Session, task: int, samples: Sequence[Sample]) -> int:
    """The id of the samples' item set, which is added where it is new."""
    doc_ids, hashes = [sample.doc_id for sample in samples], [sample.doc_hash for sample in samples]
    digest = sha256(json.dumps([doc_ids, hashes]).encode()).hexdigest()
    found = session.scalar(select(ItemSet.id).where(ItemSet.task == task, ItemSet.digest == digest))
    if found is not None:
        return found
    row = ItemSet(
        task=task, digest=digest, n=len(doc_ids), doc_ids=pack_list(doc_ids), hashes=pack_list(hashes)
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row.id


def _sample_set(run: int, task: int, item_set: int, samples: Sequence[Sample]) -> SampleSet:
    """The row that holds these samples, which are in the item set's order."""
    outputs = [sample.output for sample in samples]
    return SampleSet(
        run=run,
        task=task,
        item_set=item_set,
        outcomes=pack_outcomes([sample.outcome for sample in samples]),
        answers=pack_list([sample.answer for sample in samples]),
        output_tokens=pack_list([sample.output_tokens for sample in samples]),
        outputs=pack_list(outputs) if any(output is not None for output in outputs) else None,
    )
