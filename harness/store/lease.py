"""How long ago a worker was heard of, and whether some worker is at an experiment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from harness.store.tables import Membership, Run

LEASE_SECONDS = 180.0
"""A worker on another host that has not been heard of for so long is taken for dead."""


def seconds_between(beat: datetime | None, clock: Any) -> float | None:
    """The seconds from a heartbeat to the database's time; None where there was none."""
    if beat is None or clock is None:
        return None
    moment = datetime.fromisoformat(clock) if isinstance(clock, str) else clock
    return (moment.replace(tzinfo=None) - beat).total_seconds()


def is_worked_on(session: Session, experiment: int) -> bool:
    """Whether a run of the experiment is running and its worker was heard of within the lease."""
    here = select(Membership.run).where(Membership.experiment == experiment)
    latest = select(func.max(Run.heartbeat_at)).where(Run.id.in_(here), Run.status == "running")
    ago = seconds_between(session.scalar(latest), session.scalar(select(func.current_timestamp())))
    return ago is not None and ago <= LEASE_SECONDS
