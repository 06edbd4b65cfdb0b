"""The tables of the results database.

`runs` is the unit of work, `trainings` what is known of an adapter (shared by runs that only score it
differently), `scores` and `samples` what is known of a run's answers. Times are UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    inspect,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

Big = Integer().with_variant(BigInteger(), "postgresql")
"""A count beyond 2**31: SQLite's INTEGER holds it, PostgreSQL's doesn't."""


class Text(TypeDecorator[str]):
    """Text in UTF-8; what that can't hold, as the odd bytes of a file's name, is written as its escape."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as the database takes it."""
        return None if value is None else value.encode("utf-8", "backslashreplace").decode()


class Table(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, datetime: DateTime(), str: Text()}


def copied(row: Table, **changes: Any) -> Any:
    """The same row for another database; its own id is left out."""
    columns = inspect(type(row)).columns
    values = {column.key: getattr(row, column.key) for column in columns if column.key != "id"}
    return type(row)(**{**values, **changes})


class Experiment(Table):
    """An experiment file at one profile, as it was last run."""

    __tablename__ = "experiments"
    __table_args__ = (UniqueConstraint("name", "profile"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    profile: Mapped[str]
    path: Mapped[str]
    question: Mapped[str]
    benchmark: Mapped[str]
    spec: Mapped[dict[str, Any]]
    registered_at: Mapped[datetime]


class Document(Table):
    """JSON values that many rows share, compressed; `digest` is their SHA-256 (see documents.py)."""

    __tablename__ = "documents"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Run(Table):
    """One run and its status. `token` grows with every claim: a worker with an older one has lost it.

    setting, point: the two documents of its specification.
    """

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(String(12), unique=True)
    train_id: Mapped[str] = mapped_column(String(12), index=True)
    model: Mapped[str] = mapped_column(index=True)
    method: Mapped[str]
    seed: Mapped[int | None] = mapped_column(Big)
    setting: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    point: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    status: Mapped[str] = mapped_column(default="pending", index=True)
    stage: Mapped[str | None]
    kind: Mapped[str | None]
    error: Mapped[str | None]
    worker: Mapped[str | None]
    token: Mapped[int] = mapped_column(default=0)
    heartbeat_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class Membership(Table):
    """A run's place in an experiment: its label, its position, the tasks it is asked there.

    role, tuning: see `MembershipRecord`.
    """

    __tablename__ = "memberships"

    experiment: Mapped[int] = mapped_column(ForeignKey("experiments.id"), primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True, index=True)
    label: Mapped[str]
    position: Mapped[int]
    tasks: Mapped[list[Any]]
    departures: Mapped[list[Any]]
    role: Mapped[str] = mapped_column(default="run", server_default="run")
    tuning: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class Training(Table):
    """What training an adapter took. `loss` is the compressed log; `shared` the document of its provenance."""

    __tablename__ = "trainings"

    train_id: Mapped[str] = mapped_column(String(12), primary_key=True)
    seconds: Mapped[float]
    steps: Mapped[int]
    tokens: Mapped[int] = mapped_column(Big)
    peak_memory_bytes: Mapped[int | None] = mapped_column(Big)
    trainable_params: Mapped[int] = mapped_column(Big)
    base_params: Mapped[int] = mapped_column(Big)
    trainable_percent: Mapped[float]
    adapter_bytes: Mapped[int | None] = mapped_column(Big)
    loss: Mapped[bytes] = mapped_column(LargeBinary)
    counts: Mapped[dict[str, Any]]
    provenance: Mapped[dict[str, Any]]
    shared: Mapped[int | None] = mapped_column(ForeignKey("documents.id"))
    trained_at: Mapped[datetime]


class MatrixIncrement(Table):
    """What training changed in one matrix of an adapter: see `Increment` and increments/keeping.py."""

    __tablename__ = "increments"

    train_id: Mapped[str] = mapped_column(String(12), ForeignKey("trainings.train_id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    layer: Mapped[int | None]
    module: Mapped[str | None]
    matrix: Mapped[str]
    rows: Mapped[int] = mapped_column(Big)
    columns: Mapped[int] = mapped_column(Big)
    start_rms: Mapped[float]
    rms: Mapped[float]
    share_1: Mapped[float | None]
    share_5: Mapped[float | None]
    share_10: Mapped[float | None]
    hoyer: Mapped[float | None]
    gini: Mapped[float | None]
    effective_rank: Mapped[float | None]
    absolute: Mapped[list[Any]]
    gaussian: Mapped[dict[str, Any]]
    slice_side: Mapped[int]
    slice_count: Mapped[int]
    slices: Mapped[dict[str, Any]]
    histogram: Mapped[bytes] = mapped_column(LargeBinary)
    patch: Mapped[bytes] = mapped_column(LargeBinary)


class Attempt(Table):
    """One try at a run: where, with which settings of no identity, when, how it ended."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("run", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    number: Mapped[int]
    worker: Mapped[str]
    host: Mapped[str | None]
    device: Mapped[str | None]
    settings: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    kind: Mapped[str | None]
    message: Mapped[str | None]
    traceback: Mapped[str | None]
    provenance: Mapped[dict[str, Any]]
    shared: Mapped[int | None] = mapped_column(ForeignKey("documents.id"))


class ScoredTask(Table):
    """A task in one version: its definition and data, as the fingerprint fixes them."""

    __tablename__ = "tasks"
    __table_args__ = (UniqueConstraint("name", "version", "fingerprint"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[str]
    fingerprint: Mapped[str]


class TaskScore(Table):
    """One metric of one task for one run; `position` 0 is the task's main metric."""

    __tablename__ = "scores"
    __table_args__ = (Index(None, "task"),)

    run: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    task: Mapped[int] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    value: Mapped[float]
    stderr: Mapped[float | None]
    n: Mapped[int]


class Scoring(Table):
    """That a run has answered a task: how long it took, under what."""

    __tablename__ = "scorings"

    run: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    task: Mapped[int] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    seconds: Mapped[float]
    provenance: Mapped[dict[str, Any]]
    shared: Mapped[int | None] = mapped_column(ForeignKey("documents.id"))
    scored_at: Mapped[datetime]


class ItemSet(Table):
    """Test items of a task, by document id; the many runs that answer them share the set.

    `digest` fixes ids and hashes; both are compressed lists (see packing.py).
    """

    __tablename__ = "item_sets"
    __table_args__ = (UniqueConstraint("task", "digest"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[int] = mapped_column(ForeignKey("tasks.id"))
    digest: Mapped[str] = mapped_column(String(64))
    n: Mapped[int]
    doc_ids: Mapped[bytes] = mapped_column(LargeBinary)
    hashes: Mapped[bytes] = mapped_column(LargeBinary)


class SampleSet(Table):
    """What a run made of a task's items, compressed and in the set's order; `outputs` where any was kept."""

    __tablename__ = "samples"
    __table_args__ = {"sqlite_with_rowid": False}

    run: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    task: Mapped[int] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    item_set: Mapped[int] = mapped_column(ForeignKey("item_sets.id"))
    outcomes: Mapped[bytes] = mapped_column(LargeBinary)
    answers: Mapped[bytes] = mapped_column(LargeBinary)
    output_tokens: Mapped[bytes] = mapped_column(LargeBinary)
    outputs: Mapped[bytes | None] = mapped_column(LargeBinary)


class LateResult(Table):
    """What a worker brought after it had lost its claim: kept, and counted nowhere. No task: a training."""

    __tablename__ = "late_results"

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    token: Mapped[int]
    worker: Mapped[str]
    task: Mapped[str | None]
    payload: Mapped[dict[str, Any]]
    recorded_at: Mapped[datetime]


class Publication(Table):
    """A paper or repository that prints numbers of methods, none of them ours; `digest` is of all shipped files."""

    __tablename__ = "publications"

    key: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    title: Mapped[str]
    authors: Mapped[str]
    venue: Mapped[str]
    url: Mapped[str]
    arxiv: Mapped[str | None]
    protocol: Mapped[str]
    recipe: Mapped[dict[str, Any]]
    claims: Mapped[list[Any]]


class PublishedTable(Table):
    """A published table on one model and one benchmark."""

    __tablename__ = "published_tables"

    id: Mapped[int] = mapped_column(primary_key=True)
    publication: Mapped[str] = mapped_column(ForeignKey("publications.key"))
    position: Mapped[int]
    name: Mapped[str]
    model: Mapped[str]
    benchmark: Mapped[str]
    suite: Mapped[str]
    experiment: Mapped[str | None]
    recipe: Mapped[dict[str, Any]]


class PublishedRow(Table):
    """A row of a published table, as printed: percentages."""

    __tablename__ = "published_rows"

    id: Mapped[int] = mapped_column(primary_key=True)
    published_table: Mapped[int] = mapped_column(ForeignKey("published_tables.id"))
    position: Mapped[int]
    label: Mapped[str]
    method: Mapped[str]
    adapter: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    learning_rate: Mapped[float | None]
    data_percent: Mapped[float]
    trainable_params: Mapped[int | None] = mapped_column(Big)
    params_percent: Mapped[float | None]
    scores: Mapped[dict[str, Any]]
    average: Mapped[float | None]
    quoted_from: Mapped[str | None]
    own: Mapped[bool]
    doubts: Mapped[list[Any]]
