"""Reading samples: one task of one run whole, or the outcomes of many runs at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Row, Select, and_, select
from sqlalchemy.orm import Session

from harness.store.chunks import chunks
from harness.store.packing import unpack_list, unpack_outcomes
from harness.store.records import Items, Outcomes, Sample
from harness.store.tables import ItemSet, Run, SampleSet, ScoredTask, Scoring

Columns = tuple[str, str, str, str, int, bytes]


def samples(session: Session, run_id: str, task: str) -> tuple[Sample, ...]:
    """See `Store.samples`."""
    query = (
        select(SampleSet, ItemSet)
        .join(ItemSet, ItemSet.id == SampleSet.item_set)
        .join(Run, Run.id == SampleSet.run)
        .join(ScoredTask, ScoredTask.id == SampleSet.task)
        .join(Scoring, and_(Scoring.run == SampleSet.run, Scoring.task == SampleSet.task))
        .where(Run.run_id == run_id, ScoredTask.name == task)
        .order_by(Scoring.scored_at.desc(), ScoredTask.id.desc())
        .limit(1)
    )
    found = session.execute(query).one_or_none()
    if found is None:
        return ()
    held, items = found
    columns = (
        unpack_list(items.doc_ids),
        unpack_list(items.hashes),
        map(float, unpack_outcomes(held.outcomes)),
        unpack_list(held.answers),
        unpack_list(held.output_tokens),
        [None] * items.n if held.outputs is None else unpack_list(held.outputs),
    )
    return tuple(Sample(*values) for values in zip(*columns, strict=True))


def outcomes(session: Session, run_ids: Sequence[str], tasks: Sequence[str] | None) -> tuple[Outcomes, ...]:
    """See `Store.outcomes`."""
    found: dict[tuple[str, str], Row[Columns]] = {}
    for some in chunks(run_ids):
        query = _outcomes(some)
        if tasks is not None:
            query = query.where(ScoredTask.name.in_(tasks))
        found.update(((row[0], row[1]), row) for row in session.execute(query))  # the latest scoring comes last
    sets = dict(_items(session, sorted({row.item_set for row in found.values()})))
    return tuple(Outcomes(*row[:4], sets[row.item_set], unpack_outcomes(row.outcomes)) for row in found.values())


def _outcomes(run_ids: Sequence[str]) -> Select[Columns]:
    return (
        select(
            Run.run_id,
            ScoredTask.name,
            ScoredTask.version,
            ScoredTask.fingerprint,
            SampleSet.item_set,
            SampleSet.outcomes,
        )
        .join(Run, Run.id == SampleSet.run)
        .join(ScoredTask, ScoredTask.id == SampleSet.task)
        .join(Scoring, and_(Scoring.run == SampleSet.run, Scoring.task == SampleSet.task))
        .where(Run.run_id.in_(run_ids))
        .order_by(Run.id, Scoring.scored_at, ScoredTask.id)
    )


def _items(session: Session, ids: Sequence[int]) -> Iterator[tuple[int, Items]]:
    for some in chunks(ids):
        for row in session.scalars(select(ItemSet).where(ItemSet.id.in_(some))):
            yield row.id, Items(row.digest, tuple(unpack_list(row.doc_ids)), tuple(unpack_list(row.hashes)))
