"""Opening the results database: its engine, its schema, its errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from harness.errors import StoreError

SCHEMA = "0001"
"""The schema revision that this version reads and writes (harness/store/migrations/versions)."""
BUSY_SECONDS = 30


def engine_for(url: str, read_only: bool = False) -> Engine:
    """An engine for a database URL; SQLite in WAL mode with a busy time-out and foreign keys.

    read_only: SQLite is opened so that no byte of the file, and no file beside it, can change.
    Raises StoreError for a URL that can't be used.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"--db {url!r} can't be used: {error}; write sqlite:///FILE or postgresql+psycopg://...") from None
    path = Path(parsed.database or "").absolute()
    if read_only:
        # No pool: each session looks anew whether somebody writes.
        return create_engine("sqlite://", creator=lambda: _connect_read_only(path), poolclass=NullPool)
    if not path.parent.is_dir():
        raise StoreError(f"--db {url!r}: there is no folder {path.parent}")
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Without a write-ahead log beside it nobody is writing, and the file can be read as it lies."""
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"
    return sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=BUSY_SECONDS, check_same_thread=False)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turns the database's own errors into StoreErrors that name the database."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        hint = "another process holds it" if "locked" in str(cause) else str(cause)
        raise StoreError(f"{url}: {hint}") from error


def schema_of(connection: Connection) -> str | None:
    """The schema revision of an open database; None where it holds no tables of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def check_schema(engine: Engine, url: str) -> bool:
    """Whether the database has our schema; False for an empty one. Raises StoreError for any other."""
    try:
        with engine.connect() as connection:
            found = schema_of(connection)
            if found is None and inspect(connection).get_table_names():
                raise StoreError(f"{url} holds something else; name another file with --db")
    except (OperationalError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StoreError(f"{url} can't be opened: {cause}") from None
    except DBAPIError as error:
        raise StoreError(f"{url} is no results database: {error.orig}") from None
    if found is None or found == SCHEMA:
        return found is not None
    if found > SCHEMA:
        raise StoreError(f"{url} has schema {found}, newer than this version's {SCHEMA}: pip install --upgrade peft-harness")
    raise StoreError(f"{url} has schema {found}, this version needs {SCHEMA}: harness --db {url} db upgrade")


def upgrade(engine: Engine) -> None:
    """Brings a database, also an empty one, to our schema (Alembic)."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
