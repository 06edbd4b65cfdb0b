"""Who works on a run: claims, heartbeats, and how an attempt ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from harness.errors import StoreError
from harness.store.documents import Documents
from harness.store.records import Claim, RunState
from harness.store.registry import now
from harness.store.tables import Attempt, LateResult, Run

LOST = {"outcome": "lost", "kind": "crashed", "message": "the worker died"}
"""How an attempt ended that never reported its end."""


class ClaimLost(StoreError):
    """Another worker has taken over the run, or somebody has ended it."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(f"run {claim.run_id} was taken over by another worker; this result is not recorded")


def claim(
    session: Session,
    run_id: str,
    worker: str,
    device: str | None,
    seen: RunState | None,
    settings: Mapping[str, Any] | None = None,
) -> Claim | None:
    """Takes the run in one statement. See `Store.claim`."""
    tries = select(func.count()).where(Attempt.run == Run.id).scalar_subquery()
    free = [Run.status != "running"]
    if seen is not None:
        free = [Run.status == seen.status, Run.worker.is_not_distinct_from(seen.worker), tries == seen.attempts]
    taken = session.execute(
        update(Run)
        .where(Run.run_id == run_id, *free)
        .values(
            status="running",
            stage=None,
            kind=None,
            error=None,
            worker=worker,
            token=Run.token + 1,
            heartbeat_at=func.current_timestamp(),
            finished_at=None,
        )
    )
    if taken.rowcount != 1:
        return None
    run = session.scalars(select(Run).where(Run.run_id == run_id)).one()
    _end_lost(session, run.id)
    number = (session.scalar(select(func.max(Attempt.number)).where(Attempt.run == run.id)) or 0) + 1
    session.add(
        Attempt(
            run=run.id,
            number=number,
            worker=worker,
            host=worker.partition(":")[0],
            device=device,
            settings=dict(settings or {}),
            started_at=now(),
            provenance={},
        )
    )
    return Claim(run_id, run.token, number)


def note(session: Session, claim: Claim, settings: Mapping[str, Any]) -> None:
    """Adds to the settings of the attempt. Raises ClaimLost where the claim is no longer held."""
    run = hold(session, claim)
    attempt = session.scalars(select(Attempt).where(Attempt.run == run, Attempt.number == claim.attempt)).one()
    attempt.settings = {**attempt.settings, **settings}


def record_late(session: Session, claim: Claim, worker: str, task: str | None, payload: Mapping[str, Any]) -> None:
    """Keeps what came after the claim was lost. See `Store.record_late`."""
    run = session.scalar(select(Run.id).where(Run.run_id == claim.run_id))
    if run is not None:
        session.add(
            LateResult(run=run, token=claim.token, worker=worker, task=task, payload=dict(payload), recorded_at=now())
        )


def _end_lost(session: Session, run: int) -> None:
    """Attempts that never reported their end were lost with their worker."""
    session.execute(
        update(Attempt).where(Attempt.run == run, Attempt.outcome.is_(None)).values(**LOST, ended_at=now())
    )


def beat(session: Session, claim: Claim, stage: str | None) -> bool:
    """Refreshes the heartbeat of a claim that is still held."""
    values: dict[str, Any] = {"heartbeat_at": func.current_timestamp()}
    if stage is not None:
        values["stage"] = stage
    held = (Run.run_id == claim.run_id, Run.token == claim.token, Run.status == "running")
    return session.execute(update(Run).where(*held).values(**values)).rowcount == 1


def hold(session: Session, claim: Claim) -> int:
    """The database's id of the claimed run. Raises ClaimLost where the claim is no longer held."""
    if not beat(session, claim, None):
        raise ClaimLost(claim)
    return session.scalars(select(Run.id).where(Run.run_id == claim.run_id)).one()


def end(
    session: Session,
    claim: Claim,
    status: str,
    kind: str | None = None,
    message: str | None = None,
    traceback: str | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Ends a claim and its attempt. Raises ClaimLost where the claim is no longer held."""
    run = hold(session, claim)
    finished = now() if status == "complete" else None
    values = {"status": status, "stage": None, "kind": kind, "error": message, "worker": None, "finished_at": finished}
    session.execute(update(Run).where(Run.id == run).values(**values))
    outcome = "stopped" if status == "pending" else status
    own, shared = Documents(session).keep_provenance(provenance or {})
    session.execute(
        update(Attempt)
        .where(Attempt.run == run, Attempt.number == claim.attempt)
        .values(
            outcome=outcome,
            ended_at=now(),
            kind=kind,
            message=message,
            traceback=traceback,
            provenance=own,
            shared=shared,
        )
    )
