"""A results database on a PostgreSQL server: connections that keep what SQLite's promise."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

DRIVER = "postgresql+psycopg"
WRITERS = 0x70656674
"""The key of the advisory lock that a writing transaction holds."""


def server_engine(url: URL, read_only: bool) -> Engine:
    """An engine for a server. Every transaction that only reads sees one state of the database.

    read_only: the server refuses every change. Raises ModuleNotFoundError where the driver is not installed.
    """
    driver = url.set(drivername=DRIVER) if url.drivername == "postgresql" else url
    engine = create_engine(driver, pool_pre_ping=True)
    event.listen(engine, "connect", _use_utc)
    event.listen(engine, "begin", _read if read_only else _begin)
    return engine


def _use_utc(connection: Any, _record: object) -> None:
    """Times are kept without a zone: in the server's own, heartbeats would jump with daylight saving time."""
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def _read(connection: Connection) -> None:
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _begin(connection: Connection) -> None:
    """Lets one transaction write at a time, as SQLite does: what it has read can't change before it writes.

    Otherwise two processes that register the same new run, or make the tables, would get in each other's way. Each
    statement sees what was committed before it: one view for all would be as old as the wait for the lock is long.
    """
    if not connection.get_execution_options().get("writes"):
        _read(connection)
        return
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS})")
