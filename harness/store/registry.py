"""Writing down which runs an experiment has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.orm import Session

from harness.store.chunks import chunks
from harness.store.documents import Documents, parts_of_spec
from harness.store.lease import is_worked_on
from harness.store.records import Entry
from harness.store.tables import Attempt, Experiment, LateResult, Membership, Run, Scoring


def now() -> datetime:
    """The time as the database keeps it: UTC, to the second's fraction, without a zone."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def register(session: Session, experiment: Mapping[str, Any], entries: Sequence[Entry]) -> None:
    """Adds or refreshes the experiment, its runs and their places in it. See `Store.register`."""
    row = _experiment(session, experiment)
    known = ids_of(session, [entry.run_id for entry in entries])
    documents = Documents(session)
    for entry in entries:
        if entry.run_id not in known:
            run = Run(
                run_id=entry.run_id,
                train_id=entry.train_id,
                model=entry.model,
                method=entry.method,
                seed=entry.seed,
                **_spec(documents, entry),
                created_at=now(),
            )
            session.add(run)
            session.flush()
            known[entry.run_id] = run.id
    asked = {known[entry.run_id] for entry in entries}
    worked_on = is_worked_on(session, row.id)
    _place(session, row.id, known, entries, keep_tasks=worked_on)
    if not worked_on:
        _forget_unasked(session, row.id, asked)
    _supersede(session, row.id, asked, entries)


def _experiment(session: Session, fields: Mapping[str, Any]) -> Experiment:
    same = (Experiment.name == fields["name"], Experiment.profile == fields["profile"])
    row = session.scalar(select(Experiment).where(*same))
    if row is None:
        row = Experiment(name=fields["name"], profile=fields["profile"])
        session.add(row)
    for key in ("path", "question", "benchmark", "spec"):
        setattr(row, key, fields[key])
    row.registered_at = now()
    session.flush()
    return row


def ids_of(session: Session, run_ids: Sequence[str]) -> dict[str, int]:
    """The database's own ids of the runs that it knows."""
    found: dict[str, int] = {}
    for some in chunks(run_ids):
        wanted = select(Run.run_id, Run.id).where(Run.run_id.in_(some))
        found.update((run_id, id) for run_id, id in session.execute(wanted))
    return found


def specify(session: Session, entries: Sequence[Entry]) -> None:
    """Writes the specifications of runs that are known. See `Store.specify`."""
    documents = Documents(session)
    for entry in entries:
        session.execute(update(Run).where(Run.run_id == entry.run_id).values(**_spec(documents, entry)))


def _spec(documents: Documents, entry: Entry) -> dict[str, int]:
    """The columns of a run that hold its specification."""
    setting, point = parts_of_spec(entry.spec, (entry.run_id, entry.train_id, entry.seed))
    return {"setting": documents.keep(setting), "point": documents.keep(point)}


def _place(
    session: Session, experiment: int, ids: Mapping[str, int], entries: Sequence[Entry], keep_tasks: bool
) -> None:
    """keep_tasks: add to the tasks that a place has, which another command may be about to score."""
    rows = {m.run: m for m in session.scalars(select(Membership).where(Membership.experiment == experiment))}
    for position, entry in enumerate(entries):
        run = ids[entry.run_id]
        row, kept = rows.get(run), []
        if row is not None and keep_tasks and row.role == entry.role:
            kept = row.tasks
        if row is None:
            row = Membership(experiment=experiment, run=run)
            session.add(row)
        row.label, row.position = entry.label, position
        row.tasks, row.departures = list(dict.fromkeys([*kept, *entry.tasks])), list(entry.departures)
        row.role, row.tuning = entry.role, entry.tuning


def _forget_unasked(session: Session, experiment: int, asked: set[int]) -> None:
    """Drops the experiment's places of runs that were never begun and are not asked for any more."""
    waiting = select(Membership.run).join(Run, Run.id == Membership.run)
    begun = [exists().where(table.run == Run.id) for table in (Attempt, Scoring, LateResult)]
    waiting = waiting.where(Membership.experiment == experiment, Run.status == "pending", ~or_(*begun))
    for run in set(session.scalars(waiting)) - asked:
        session.execute(delete(Membership).where(Membership.experiment == experiment, Membership.run == run))
        if session.scalar(select(Membership.run).where(Membership.run == run).limit(1)) is None:
            session.execute(delete(Run).where(Run.id == run))


def _supersede(session: Session, experiment: int, asked: set[int], entries: Sequence[Entry]) -> None:
    """Marks places of runs that tried a point which is asked no more, or were chosen where another point is now."""
    keys = {group["key"] for entry in entries if entry.role == "tuning" for group in (entry.tuning or {})["groups"]}
    chosen = {
        entry.tuning["key"]: entry.tuning["chosen"] for entry in entries if entry.role == "tuned" and entry.tuning
    }
    tuned = select(Membership).where(Membership.experiment == experiment, Membership.role.in_(("tuning", "tuned")))
    for place in session.scalars(tuned) if keys else ():
        about = place.tuning or {}
        if place.run in asked:
            continue
        if place.role == "tuning":
            gone = any(group["key"] in keys for group in about["groups"])
        else:
            gone = about["key"] in chosen and about["chosen"] != chosen[about["key"]]
        place.role = "superseded" if gone else place.role
