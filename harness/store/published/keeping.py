"""Published numbers in the database: brought up to what this version ships, and read back as they were shipped."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pydantic import BaseModel
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from harness.store import tables
from harness.store.published import shipped
from harness.store.published.records import Claim, Publication, PublishedRow, PublishedTable, Recipe, Source


def renew(session: Session) -> None:
    """Puts this version's published numbers in the place of those that are there, where they are not the same."""
    if current(session):
        return
    for held in (tables.PublishedRow, tables.PublishedTable, tables.Publication):
        session.execute(delete(held))
    for position, publication in enumerate(shipped.publications()):
        session.add(_source(position, publication))
        session.flush()
        for number, table in enumerate(publication.tables):
            _add_table(session, publication.source.key, number, table)
    session.flush()


def current(session: Session) -> bool:
    """Whether the database has the published numbers of this version."""
    return set(session.scalars(select(tables.Publication.digest))) == {shipped.digest()}


def kept(session: Session) -> tuple[Publication, ...]:
    """The published numbers that the database has."""
    rows: dict[int, list[PublishedRow]] = defaultdict(list)
    for row in session.scalars(select(tables.PublishedRow).order_by(tables.PublishedRow.position)):
        rows[row.published_table].append(PublishedRow(**_fields(row, PublishedRow)))
    found: dict[str, list[PublishedTable]] = defaultdict(list)
    for table in session.scalars(select(tables.PublishedTable).order_by(tables.PublishedTable.position)):
        fields = _fields(table, PublishedTable) | {"table": table.name, "rows": tuple(rows[table.id])}
        found[table.publication].append(PublishedTable(**fields))
    return tuple(
        Publication(
            source=Source(**_fields(row, Source)),
            tables=tuple(found[row.key]),
            claims=tuple(Claim(**claim) for claim in row.claims),
        )
        for row in session.scalars(select(tables.Publication).order_by(tables.Publication.position))
    )


def _fields(row: tables.Table, record: type[BaseModel]) -> dict[str, Any]:
    """What a row of the database holds of the record's fields."""
    return {name: getattr(row, name) for name in record.model_fields if name in row.__mapper__.columns}


def _source(position: int, publication: Publication) -> tables.Publication:
    fields = publication.source.model_dump(mode="json") | {"recipe": _told(publication.source.recipe)}
    claims = [claim.model_dump(mode="json") for claim in publication.claims]
    return tables.Publication(**fields, position=position, digest=shipped.digest(), claims=claims)


def _add_table(session: Session, key: str, position: int, table: PublishedTable) -> None:
    fields = table.model_dump(mode="json", exclude={"table", "rows"}) | {"recipe": _told(table.recipe)}
    held = tables.PublishedTable(**fields, publication=key, position=position, name=table.table)
    session.add(held)
    session.flush()
    for number, row in enumerate(table.rows):
        session.add(tables.PublishedRow(**row.model_dump(mode="json"), published_table=held.id, position=number))


def _told(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude_none=True)
