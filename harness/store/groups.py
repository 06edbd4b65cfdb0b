"""Which runs may share a leaderboard, without reading what they are: places by experiment, tasks and setting."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row, Select, String, cast, select
from sqlalchemy.orm import Session

from harness.store.chunks import chunks
from harness.store.documents import Documents
from harness.store.records import PlaceGroup, Standing
from harness.store.tables import Experiment, Membership, Run, ScoredTask, TaskScore


def groups(
    session: Session, experiment: str | None, benchmark: str | None, run_ids: Sequence[str] | None
) -> tuple[PlaceGroup, ...]:
    """See `Store.groups`."""
    experiments = _experiments(session, experiment, benchmark)
    found: dict[tuple[int, str, str, int], list[Standing]] = defaultdict(list)
    for query in _queries(session, list(experiments), run_ids):
        for own, tasks, role, setting, *standing in session.execute(query):
            found[own, tasks, role, setting].append(Standing(*standing))
    documents = Documents(session)
    documents.read(setting for *_, setting in found)
    order = {id: place for place, id in enumerate(experiments)}
    return tuple(
        _group(experiments[own], tasks, role, setting, documents.get(setting), found[own, tasks, role, setting])
        for own, tasks, role, setting in sorted(found, key=lambda key: order[key[0]])
    )


def _experiments(session: Session, name: str | None, benchmark: str | None) -> dict[int, Row[Any]]:
    """By id, the latest registered one first."""
    query = select(Experiment.id, Experiment.name, Experiment.benchmark, Experiment.spec)
    if name is not None:
        query = query.where(Experiment.name == name)
    if benchmark is not None:
        query = query.where(Experiment.benchmark == benchmark)
    return {row.id: row for row in session.execute(query.order_by(Experiment.registered_at.desc(), Experiment.id))}


def _queries(session: Session, experiments: list[int], run_ids: Sequence[str] | None) -> Iterator[Select[Any]]:
    """For every list of tasks that is asked, and so many experiments and runs as fit into a statement."""
    asked = cast(Membership.tasks, String)
    for some in chunks(experiments):
        here = Membership.experiment.in_(some)
        for tasks in session.scalars(select(asked).where(here).distinct()).all():
            query = _query(session, json.loads(tasks)).where(here, asked == tasks)
            if run_ids is None:
                yield query
            else:
                yield from (query.where(Run.run_id.in_(runs)) for runs in chunks(run_ids))


def _query(session: Session, tasks: Sequence[str]) -> Select[Any]:
    versions = session.scalars(select(ScoredTask.id).where(ScoredTask.name.in_(tasks))).all()
    scored = select(TaskScore.run).where(TaskScore.run == Run.id, TaskScore.task.in_(versions)).exists()
    query = select(
        Membership.experiment, cast(Membership.tasks, String), Membership.role, Run.setting,
        Run.run_id, Run.point, Run.status, cast(Run.created_at, String), cast(Run.finished_at, String), Run.id, scored,
    )  # fmt: skip
    query = query.join(Run, Run.id == Membership.run)
    return query.order_by(Membership.experiment, Membership.position)


def _group(
    experiment: Row[Any], tasks: str, role: Any, setting: int, parts: dict[str, Any], runs: Sequence[Standing]
) -> PlaceGroup:
    weights = experiment.spec.get("benchmark", {}).get("weights", {})
    return PlaceGroup(
        experiment=experiment.name,
        benchmark=experiment.benchmark,
        tasks=tuple(json.loads(tasks)),
        weights=weights,
        role=role,
        setting=setting,
        parts=parts,
        runs=tuple(runs),
    )
