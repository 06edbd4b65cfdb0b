"""What another database's workers tried: attempts, and results that came too late."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from harness.store.claims import LOST
from harness.store.merged_documents import DocumentIds
from harness.store.registry import now
from harness.store.tables import Attempt, LateResult, copied


def take_attempts(ours: Session, theirs: Session, run: int, own: int, documents: DocumentIds) -> None:
    """Adds the attempts at their `run` that our `own` lacks.

    One that goes on there is lost here. Where it has ended there by the next merge, that is how it ended.
    """
    here = {_key(row): row for row in ours.scalars(select(Attempt).where(Attempt.run == own))}
    number = max((row.number for row in here.values()), default=0)
    for attempt in theirs.scalars(select(Attempt).where(Attempt.run == run).order_by(Attempt.number)):
        known = here.get(_key(attempt))
        if known is None:
            number += 1
        elif known.outcome == LOST["outcome"] and attempt.outcome not in (None, known.outcome):
            ours.delete(known)
            ours.flush()
        else:
            continue
        end = LOST | {"ended_at": now()} if attempt.outcome is None else {}
        place = {"run": own, "number": number if known is None else known.number}
        ours.add(copied(attempt, **place, **end, shared=documents.own(attempt.shared)))


def _key(attempt: Attempt) -> tuple[object, ...]:
    return attempt.worker, attempt.started_at


def take_late_results(ours: Session, theirs: Session, run: int, own: int) -> None:
    """Adds what workers brought of their `run` after they had lost it, where our `own` lacks it."""
    seen = {(row.worker, row.recorded_at) for row in ours.scalars(select(LateResult).where(LateResult.run == own))}
    for late in theirs.scalars(select(LateResult).where(LateResult.run == run).order_by(LateResult.id)):
        if (late.worker, late.recorded_at) not in seen:
            ours.add(copied(late, run=own))
