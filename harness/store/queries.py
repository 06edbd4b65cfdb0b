"""Reading the database into frozen records."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, String, and_, cast, func, select
from sqlalchemy.orm import Session

from harness.store.chunks import chunks
from harness.store.documents import Documents
from harness.store.lease import seconds_between
from harness.store.records import (
    AttemptRecord,
    LateRecord,
    MembershipRecord,
    RunRecord,
    RunState,
    ScoreRecord,
    TrainResult,
)
from harness.store.tables import (
    Attempt,
    Experiment,
    LateResult,
    Membership,
    Run,
    ScoredTask,
    Scoring,
    TaskScore,
    Training,
)

SECONDS = len("2026-01-01 00:00:00")


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds") + "Z"


def _told(moment: str) -> str:
    """A moment as `_iso` writes it, from the database's text: of many it need not be read."""
    return f"{moment[:SECONDS].replace(' ', 'T')}Z"


def states(session: Session, run_ids: Sequence[str]) -> dict[str, RunState]:
    """See `Store.states`."""
    found: dict[str, RunState] = {}
    clock = session.scalar(select(func.current_timestamp()))
    for chunk in chunks(run_ids):
        rows = session.scalars(select(Run).where(Run.run_id.in_(chunk))).all()
        ids = [row.id for row in rows]
        scored = _scored(session, ids)
        tries = dict(
            session.execute(select(Attempt.run, func.count()).where(Attempt.run.in_(ids)).group_by(Attempt.run)).all()
        )
        trained = set(trainings_known(session, [row.train_id for row in rows]))
        for row in rows:
            found[row.run_id] = RunState(
                run_id=row.run_id,
                train_id=row.train_id,
                status=row.status,
                stage=row.stage,
                kind=row.kind,
                error=row.error,
                worker=row.worker,
                beat_seconds_ago=seconds_between(row.heartbeat_at, clock),
                attempts=tries.get(row.id, 0),
                scored=scored.get(row.id, {}),
                trained=row.train_id in trained,
            )
    return found


def _scored(session: Session, ids: Sequence[int]) -> dict[int, dict[str, frozenset[tuple[str, str]]]]:
    query = select(TaskScore.run, ScoredTask.name, ScoredTask.version, ScoredTask.fingerprint)
    query = query.join(ScoredTask, ScoredTask.id == TaskScore.task)
    query = query.where(TaskScore.run.in_(ids), TaskScore.position == 0)
    found: dict[int, dict[str, set[tuple[str, str]]]] = defaultdict(lambda: defaultdict(set))
    for run, task, version, fingerprint in session.execute(query):
        found[run][task].add((version, fingerprint))
    return {run: {task: frozenset(kinds) for task, kinds in tasks.items()} for run, tasks in found.items()}


def trainings_known(session: Session, train_ids: Sequence[str]) -> list[str]:
    """Those of the adapters that were trained."""
    return [
        train_id
        for chunk in chunks(train_ids)
        for train_id in session.scalars(select(Training.train_id).where(Training.train_id.in_(chunk)))
    ]


def trainings(session: Session, train_ids: Sequence[str]) -> dict[str, TrainResult]:
    """See `Store.trainings`."""
    return _trainings(session, train_ids, Documents(session), loss=False)


def _trainings(session: Session, train_ids: Sequence[str], documents: Documents, loss: bool) -> dict[str, TrainResult]:
    columns = [column for column in Training.__table__.columns if loss or column.key != "loss"]
    query = select(*columns)
    rows = [row for chunk in chunks(train_ids) for row in session.execute(query.where(Training.train_id.in_(chunk)))]
    documents.read(row.shared for row in rows)
    return {row.train_id: _training(row, documents, loss) for row in rows}


def _training(row: Any, documents: Documents, loss: bool) -> TrainResult:
    return TrainResult(
        seconds=row.seconds,
        steps=row.steps,
        tokens=row.tokens,
        peak_memory_bytes=row.peak_memory_bytes,
        trainable_params=row.trainable_params,
        base_params=row.base_params,
        trainable_percent=row.trainable_percent,
        adapter_bytes=row.adapter_bytes,
        loss=tuple(json.loads(zlib.decompress(row.loss))) if loss else (),
        counts=row.counts,
        provenance={**row.provenance, **documents.get(row.shared)},
    )


def runs(session: Session, run_ids: Sequence[str] | None, prefix: str | None, loss: bool) -> tuple[RunRecord, ...]:
    """See `Store.runs`."""
    query = select(*Run.__table__.columns).order_by(Run.id)
    if prefix is not None:
        query = query.where(Run.run_id.startswith(prefix, autoescape=True))
    rows = list(_all(session, query, run_ids))
    documents = Documents(session)
    documents.read(document for row in rows for document in (row.setting, row.point))
    trained = _trainings(session, list({row.train_id for row in rows}), documents, loss)
    return tuple(_run(row, documents, trained.get(row.train_id)) for row in rows)


def _run(row: Any, documents: Documents, training: TrainResult | None) -> RunRecord:
    return RunRecord(
        run_id=row.run_id,
        train_id=row.train_id,
        model=row.model,
        method=row.method,
        seed=row.seed,
        status=row.status,
        stage=row.stage,
        kind=row.kind,
        error=row.error,
        spec=documents.spec(row.setting, row.point, (row.run_id, row.train_id, row.seed)),
        created_at=str(_iso(row.created_at)),
        finished_at=_iso(row.finished_at),
        training=training,
    )


def memberships(
    session: Session, experiment: str | None, run_ids: Sequence[str] | None
) -> tuple[MembershipRecord, ...]:
    """See `Store.memberships`."""
    named = select(Experiment) if experiment is None else select(Experiment).where(Experiment.name == experiment)
    known = {row.id: row for row in session.scalars(named)}
    query = select(
        Membership.experiment, Run.run_id, Membership.label, Membership.position,
        Membership.tasks, Membership.departures, Membership.role, Membership.tuning,
    )  # fmt: skip
    query = query.join(Run, Run.id == Membership.run).order_by(Membership.experiment, Membership.position)
    if experiment is not None:
        query = query.where(Membership.experiment.in_(known))
    rows = [row for row in _all(session, query, run_ids) if row[0] in known]
    rows.sort(key=lambda row: known[row[0]].registered_at, reverse=True)
    return tuple(_place(known[row[0]], row) for row in rows)


def models(session: Session) -> frozenset[str]:
    """See `Store.models`."""
    return frozenset(session.scalars(select(Run.model).distinct()))


def benchmarks(session: Session) -> tuple[tuple[str, str], ...]:
    """See `Store.benchmarks`."""
    asks = select(Membership.run).where(Membership.experiment == Experiment.id).exists()
    query = select(Experiment.name, Experiment.benchmark).where(asks).order_by(Experiment.registered_at.desc())
    return tuple((name, benchmark) for name, benchmark in session.execute(query))


def _place(found: Experiment, row: Any) -> MembershipRecord:
    _, run_id, label, position, tasks, departures, role, tuning = row
    asked = found.spec.get("benchmark", {})
    return MembershipRecord(
        experiment=found.name,
        profile=found.profile,
        benchmark=found.benchmark,
        run_id=run_id,
        label=label,
        position=position,
        tasks=tuple(tasks),
        departures=tuple(departures),
        title=asked.get("title"),
        weights=asked.get("weights", {}),
        suites=asked.get("suites", {}),
        role=role,
        tuning=tuning,
        path=found.path,
    )


def _all(session: Session, query: Select[Any], run_ids: Sequence[str] | None) -> Iterator[Any]:
    if run_ids is None:
        yield from session.execute(query)
        return
    for chunk in chunks(run_ids):
        yield from session.execute(query.where(Run.run_id.in_(chunk)))


def scores(session: Session, run_ids: Sequence[str]) -> tuple[ScoreRecord, ...]:
    """See `Store.scores`."""
    query = select(
        Run.run_id, ScoredTask.name, ScoredTask.version, ScoredTask.fingerprint,
        TaskScore.metric, TaskScore.position, TaskScore.value, TaskScore.stderr, TaskScore.n,
        cast(Scoring.scored_at, String),
    )  # fmt: skip
    query = query.join(TaskScore, TaskScore.run == Run.id).join(ScoredTask, ScoredTask.id == TaskScore.task)
    query = query.join(Scoring, and_(Scoring.run == Run.id, Scoring.task == ScoredTask.id))
    query = query.order_by(Run.id, ScoredTask.id, TaskScore.position)
    return tuple(ScoreRecord(*row[:-1], _told(row[-1])) for row in _all(session, query, run_ids))


def overlaps(session: Session, run_ids: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """See `Store.overlaps`."""
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    query = select(Run.run_id, ScoredTask.name, Scoring.shared).where(Scoring.shared.is_not(None))
    query = query.join(Scoring, Scoring.run == Run.id).join(ScoredTask, ScoredTask.id == Scoring.task)
    rows = list(_all(session, query.order_by(Scoring.scored_at, ScoredTask.id), run_ids))
    documents = Documents(session)
    documents.read(row.shared for row in rows)
    for run_id, task, shared in rows:
        if overlap := documents.get(shared).get("overlap"):
            found[run_id][task] = overlap
    return dict(found)


def attempts(session: Session, run_id: str) -> tuple[AttemptRecord, ...]:
    """See `Store.attempts`."""
    query = select(Attempt).join(Run, Run.id == Attempt.run).where(Run.run_id == run_id).order_by(Attempt.number)
    rows, documents = session.scalars(query).all(), Documents(session)
    documents.read(row.shared for row in rows)
    return tuple(
        AttemptRecord(
            number=row.number,
            worker=row.worker,
            host=row.host,
            device=row.device,
            settings=row.settings,
            started_at=str(_iso(row.started_at)),
            ended_at=_iso(row.ended_at),
            outcome=row.outcome,
            kind=row.kind,
            message=row.message,
            traceback=row.traceback,
            provenance={**row.provenance, **documents.get(row.shared)},
        )
        for row in rows
    )


def late_results(session: Session, run_id: str) -> tuple[LateRecord, ...]:
    """See `Store.late_results`."""
    query = select(LateResult).join(Run, Run.id == LateResult.run).where(Run.run_id == run_id).order_by(LateResult.id)
    return tuple(
        LateRecord(row.token, row.worker, row.task, row.payload, str(_iso(row.recorded_at)))
        for row in session.scalars(query)
    )
