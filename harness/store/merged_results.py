"""Whether two databases hold the same result of a task."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from harness.store.packing import same_packed, unpack_list, unpack_outcomes
from harness.store.tables import SampleSet, TaskScore

Place = tuple[Session, int, int]
"""A session of a database, and the ids that a run and a task have there."""


def same_result(theirs: Place, ours: Place) -> bool:
    """Whether the same came out of a task: metrics, outcomes, answers and their tokens, but not the time it took."""
    return _metrics(*theirs) == _metrics(*ours) and _same_samples(_samples(*theirs), _samples(*ours))


def _metrics(session: Session, run: int, task: int) -> set[tuple[Any, ...]]:
    scores = session.scalars(select(TaskScore).where(TaskScore.run == run, TaskScore.task == task))
    return {(score.metric, score.position, score.value, score.n) for score in scores}


def _samples(session: Session, run: int, task: int) -> SampleSet | None:
    return session.get(SampleSet, (run, task))


def _same_samples(theirs: SampleSet | None, ours: SampleSet | None) -> bool:
    if theirs is None or ours is None:
        return theirs is ours
    lists = ((theirs.answers, ours.answers), (theirs.output_tokens, ours.output_tokens))
    same_lists = all(same_packed(*both, unpack_list) for both in lists)
    return same_lists and same_packed(theirs.outcomes, ours.outcomes, unpack_outcomes)
