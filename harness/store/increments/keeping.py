"""What training changed in each matrix of an adapter: written down, read, and taken from another database."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from harness.store.chunks import chunks
from harness.store.increments.records import PATCH, Density, Increment
from harness.store.packing import pack_list, unpack_list
from harness.store.tables import MatrixIncrement

DENSITY = tuple(measure.name for measure in fields(Density))
PACKED = ("density", "histogram", "patch")
"""The fields of an `Increment` that the table holds in another form."""


def keep(session: Session, train_id: str, found: Sequence[Increment]) -> None:
    """Writes the increments of a training, in place of earlier ones."""
    forget(session, train_id)
    session.flush()
    for position, increment in enumerate(found):
        values = {name: value for name, value in asdict(increment).items() if name not in PACKED}
        session.add(
            MatrixIncrement(
                train_id=train_id,
                position=position,
                **values,
                **asdict(increment.density),
                histogram=pack_list(increment.histogram),
                patch=_packed(increment.patch),
            )
        )


def forget(session: Session, train_id: str) -> None:
    """Drops the increments of weights that are no more."""
    session.execute(delete(MatrixIncrement).where(MatrixIncrement.train_id == train_id))


def kept(session: Session, train_ids: Sequence[str]) -> dict[str, tuple[Increment, ...]]:
    """See `Store.increments`."""
    found: dict[str, list[Increment]] = {}
    for some in chunks(train_ids):
        wanted = select(MatrixIncrement).where(MatrixIncrement.train_id.in_(some))
        for row in session.scalars(wanted.order_by(MatrixIncrement.train_id, MatrixIncrement.position)):
            found.setdefault(row.train_id, []).append(_increment(row))
    return {train_id: tuple(increments) for train_id, increments in found.items()}


def measured(session: Session, train_ids: Sequence[str]) -> frozenset[str]:
    """See `Store.measured`."""
    found: set[str] = set()
    for some in chunks(train_ids):
        wanted = select(MatrixIncrement.train_id).where(
            MatrixIncrement.train_id.in_(some), MatrixIncrement.position == 0
        )
        found.update(session.scalars(wanted))
    return frozenset(found)


def take(ours: Session, theirs: Session, train_ids: Collection[str]) -> None:
    """Adds the increments of these trainings, which both databases have, where ours has none."""
    measured = set(ours.scalars(select(MatrixIncrement.train_id).distinct()))
    columns = MatrixIncrement.__table__.columns.keys()
    for train_id in sorted(set(train_ids) - measured):
        rows = theirs.scalars(select(MatrixIncrement).where(MatrixIncrement.train_id == train_id))
        ours.add_all([MatrixIncrement(**{name: getattr(row, name) for name in columns}) for row in rows])


def _increment(row: MatrixIncrement) -> Increment:
    plain = {each.name: getattr(row, each.name) for each in fields(Increment) if each.name not in PACKED}
    changed: dict[str, Any] = {
        "absolute": tuple(row.absolute),
        "gaussian": {name: tuple(pair) for name, pair in row.gaussian.items()},
        "slices": {name: tuple(pair) for name, pair in row.slices.items()},
        "density": Density(**{name: getattr(row, name) for name in DENSITY}),
        "histogram": tuple(unpack_list(row.histogram)),
        "patch": _unpacked(row.patch, min(row.slice_side, PATCH)),
    }
    return Increment(**{**plain, **changed})


def _packed(patch: Sequence[Sequence[float]]) -> bytes:
    """Its rows one after another, as compressed numbers of half precision (little-endian)."""
    values = [value for row in patch for value in row]
    return zlib.compress(struct.pack(f"<{len(values)}e", *values))


def _unpacked(packed: bytes, width: int) -> tuple[tuple[float, ...], ...]:
    held = zlib.decompress(packed)
    values = struct.unpack(f"<{len(held) // 2}e", held)
    return tuple(values[start : start + width] for start in range(0, len(values), width))
