"""Reading a SQLite file as it lies: nothing is written beside it, and nothing guards it from who begins to write.

While a write-ahead log lies beside the file, SQLite's own locks hold. Without one nobody is writing, and to take part
in the locks would leave files behind; whoever begins to write meanwhile is found out afterwards.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from harness.errors import StoreError

READS = 5
"""So often is what was disturbed read."""
Stamp = tuple[int, int] | None
Read = TypeVar("Read")
"""What was read."""


class Disturbed(StoreError):
    """Somebody wrote into a file while it was read as it lies."""


def read_only_engine(path: Path, timeout: float) -> Engine:
    """An engine that can change no byte of a file and none beside it. timeout: seconds to wait at a lock."""
    engine = create_engine("sqlite://", poolclass=NullPool)  # no pool: each session looks anew whether somebody writes

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, record: Any, _arguments: object, _options: object) -> sqlite3.Connection:
        guarded = path.with_name(path.name + "-wal").exists()
        if not guarded:
            record.info["lying"] = path, _stamp(path)
        mode = "mode=ro" if guarded else "immutable=1"
        uri = f"{path.as_uri()}?{mode}"
        return sqlite3.connect(uri, uri=True, timeout=timeout, check_same_thread=False, isolation_level=None)

    return engine


@contextmanager
def unchanged(connection: Connection) -> Iterator[None]:
    """Raises Disturbed, also in place of what then went wrong, where the file that was read is another by the end."""
    path, before = connection.info.get("lying", (None, None))
    try:
        yield
    except Exception as error:
        if path is not None and _stamp(path) != before:
            raise _disturbed(path) from error
        raise
    if path is not None and _stamp(path) != before:
        raise _disturbed(path)


def undisturbed(read: Callable[[], Read]) -> Read:
    """What `read` returns. It is called again where it was Disturbed; raises that where it always is."""
    for _ in range(READS - 1):
        try:
            return read()
        except Disturbed:
            continue
    return read()


def _disturbed(path: Path) -> Disturbed:
    return Disturbed(f"{path} was written to while it was read; try again once no command runs")


def _stamp(path: Path) -> Stamp:
    """Which content a file has: its length and when it was last written; None where it is gone."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns
