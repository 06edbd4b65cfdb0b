"""What runs of a model have cost so far."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from harness.store.tables import Run, ScoredTask, Scoring, TaskScore, Training


def trained_last(session: Session, models: Sequence[str], most: int) -> list[str]:
    """See `Store.trained_last`."""
    query = select(Run.run_id).join(Training, Training.train_id == Run.train_id).where(Run.model.in_(models))
    return list(session.scalars(query.order_by(Training.trained_at.desc(), Run.id).limit(most)))


def scoring_times(session: Session, run_ids: Sequence[str]) -> list[tuple[str, str, float, int]]:
    """See `Store.scoring_times`."""
    query = select(Run.run_id, ScoredTask.name, Scoring.seconds, TaskScore.n)
    query = query.join(Scoring, Scoring.run == Run.id).join(ScoredTask, ScoredTask.id == Scoring.task)
    main = and_(TaskScore.run == Scoring.run, TaskScore.task == Scoring.task, TaskScore.position == 0)
    rows = session.execute(query.join(TaskScore, main).where(Run.run_id.in_(run_ids)))
    return [(run_id, task, seconds, n) for run_id, task, seconds, n in rows]
