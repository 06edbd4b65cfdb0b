"""Opening the results database: its engine, its schema, its errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from harness.errors import StoreError
from harness.store.bare_file import read_only_engine, unchanged, undisturbed
from harness.store.postgresql import server_engine

SCHEMA = "0003"
"""The schema revision that this version reads and writes (harness/store/migrations/versions)."""
BUSY_SECONDS = 30
HINTS = {
    "locked": "another process holds it",
    "unable to open": "can't be opened or made; may its folder be written to?",
}
"""What SQLite means."""


def engine_for(url: str, read_only: bool = False) -> Engine:
    """An engine for a database URL; SQLite in WAL mode with a busy time-out and foreign keys.

    read_only: SQLite is opened so that no byte of the file, and no file beside it, can change.
    Raises StoreError for a URL that can't be used.
    """
    path = sqlite_file(url)
    if path is None:
        try:
            return server_engine(make_url(url), read_only)
        except ModuleNotFoundError as error:
            missing = f"there is no {error.name}; pip install 'peft-harness[postgres]'"
            raise StoreError(f"--db {shown(url)!r}: {missing}") from None
        except (ArgumentError, NoSuchModuleError) as error:
            raise _unusable(url, str(error)) from None
    if read_only:
        engine = read_only_engine(path, BUSY_SECONDS)
    else:
        if not path.parent.is_dir():
            raise StoreError(f"--db {url!r}: there is no folder {path.parent}")
        engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def for_writing(engine: Engine) -> Engine:
    """The same engine, whose transactions take the write lock as they begin.

    What such a transaction reads can't change before it writes, and it waits for other writers instead of failing.
    """
    return engine.execution_options(writes=True)


def shown(url: str) -> str:
    """The URL as messages name it: as it was given, but without its password."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return url
    return url if parsed.password is None else parsed.render_as_string()


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL, links followed (SQLite's own files lie beside the target); None for a server.

    Raises StoreError for what is no URL or names no file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise _unusable(url, str(error)) from None
    if parsed.get_backend_name() == "postgresql":
        return None
    if parsed.get_backend_name() != "sqlite":
        raise _unusable(url, f"{parsed.get_backend_name()} is not supported")
    if parsed.database in (None, "", ":memory:"):
        raise _unusable(url, "it names no file, and processes share the results")
    return Path(str(parsed.database)).resolve()


def _unusable(url: str, why: str) -> StoreError:
    return StoreError(f"--db {shown(url)!r} can't be used: {why}; write sqlite:///FILE or postgresql+psycopg://...")


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late: not before a SELECT or a CREATE TABLE
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turns the database's own errors into StoreErrors that name the database."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StoreError(f"{shown(url)}: {_hint(cause, url) or _line(cause)}") from error


def _hint(cause: BaseException | None, url: str) -> str | None:
    file = sqlite_file(url)
    if "unable to open" in str(cause) and file is not None and file.is_file() and not os.access(file.parent, os.W_OK):
        return f"is read-only: {file.parent} can't be written to"  # where SQLite's log has to lie
    return next((hint for words, hint in HINTS.items() if words in str(cause)), None)


def _line(cause: BaseException | None) -> str:
    return " ".join(str(cause).split())


def schema_of(connection: Connection) -> str | None:
    """The schema revision of an open database; None where it holds no tables of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def check_schema(engine: Engine, url: str, older: bool = False) -> bool:
    """Whether the database has our schema (or, with `older`, an earlier one); False for an empty one.

    Raises StoreError for any other, with the command that mends it.
    """
    url = shown(url)

    def look() -> str | None:
        with engine.connect() as connection, unchanged(connection):
            found = schema_of(connection)
            if _foreign(connection, found):
                raise StoreError(f"{url} holds something else; name another database with --db")
            return found

    try:
        found = undisturbed(look)
    except (OperationalError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        hint = _hint(cause, url)
        raise StoreError(f"{url}: {hint}" if hint else f"{url} can't be opened: {_line(cause)}") from None
    except DBAPIError as error:
        raise StoreError(f"{url} is no results database: {error.orig}") from None
    if found is None or found == SCHEMA or (older and found < SCHEMA):
        return found is not None
    if found > SCHEMA:
        newer = f"newer than this version's {SCHEMA}: pip install --upgrade peft-harness"
        raise StoreError(f"{url} has schema {found}, {newer}")
    raise StoreError(f"{url} has schema {found}, this version needs {SCHEMA}: harness --db {url} db upgrade")


def _foreign(connection: Connection, found: str | None) -> bool:
    """Whether the tables are somebody else's, who may use Alembic too."""
    tables = set(inspect(connection).get_table_names())
    return bool(tables - {"alembic_version"}) if found is None else not found.isdigit() or "trainings" not in tables


@contextmanager
def _rebuilding(engine: Engine) -> Iterator[Connection]:
    """A writing transaction in which SQLite's tables may be made anew, though others refer to them."""
    with for_writing(engine).connect() as connection:
        # Tables that lose a column are copied and dropped; the switch has no effect inside a transaction.
        switch = connection.connection.driver_connection.execute if engine.dialect.name == "sqlite" else None
        if switch:
            switch("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                yield connection
        finally:
            if switch:
                switch("PRAGMA foreign_keys=ON")


def upgrade(engine: Engine) -> None:
    """Brings a database, also an empty one, to our schema (Alembic) and published numbers, whole or not at all.

    Raises StoreError for a newer schema and for a database that holds something else.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    from harness.store.published.keeping import renew

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with _rebuilding(engine) as connection:
        found = schema_of(connection)
        if _foreign(connection, found) or (found or "") > SCHEMA:
            raise StoreError(f"a database of schema {found} can't be upgraded to {SCHEMA}; name another with --db")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(f"a database of schema {found} can't be upgraded: {error}") from None
        with Session(connection) as session:
            renew(session)
