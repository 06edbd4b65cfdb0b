"""Where the runs stand: their numbers by status, and a line for each, without reading what they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from harness.store.chunks import chunks
from harness.store.records import ListedRun
from harness.store.tables import Attempt, Experiment, Membership, Run

WORTH = ("running", "failed", "pending", "cancelled", "complete")
"""Which runs are listed first where not all are, by status."""
Columns = tuple[str, str, str, str, str | None, str | None, int | None, int]


def counts(session: Session) -> dict[str, int]:
    """See `Store.counts`."""
    query = select(Run.status, func.count().label("total")).where(_placed()).group_by(Run.status)
    return {row.status: row.total for row in session.execute(query)}


def listing(session: Session, run_ids: Sequence[str] | None, limit: int | None) -> tuple[ListedRun, ...]:
    """See `Store.listing`."""
    rows: dict[str, ListedRun] = {}
    for row in _rows(session, run_ids, limit):
        rows.setdefault(row[0], ListedRun(*row))
    return tuple(rows.values())


def _rows(session: Session, run_ids: Sequence[str] | None, limit: int | None) -> Iterator[Row[Columns]]:
    if run_ids is not None:
        for some in chunks(run_ids):
            yield from session.execute(_query().where(Run.run_id.in_(some)))
    elif limit is not None:
        yield from session.execute(_query().where(Run.id.in_(_chosen(session, limit))))
    else:
        yield from session.execute(_query())


def _query() -> Select[Columns]:
    """Every place of every run, the latest registered experiment's first."""
    tries = select(func.count()).where(Attempt.run == Run.id).scalar_subquery()
    columns = (
        Run.run_id, Experiment.name, Membership.label, Run.status, Run.stage, Run.error, Run.seed, tries,
    )  # fmt: skip
    query = select(*columns).join(Membership, Membership.run == Run.id)
    query = query.join(Experiment, Experiment.id == Membership.experiment)
    return query.order_by(Experiment.registered_at.desc(), Experiment.id, Membership.position)


def _chosen(session: Session, limit: int) -> list[int]:
    """The runs that are looked at first: by status as in WORTH, then the ones that were registered last."""
    found: list[int] = []
    for status in WORTH:
        query = select(Run.id).where(Run.status == status, _placed()).order_by(Run.id.desc())
        found += session.scalars(query.limit(limit - len(found)))
    return found


def _placed() -> Select[tuple[int]]:
    return select(Membership.run).where(Membership.run == Run.id).exists()
