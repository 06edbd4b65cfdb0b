"""Records a task, one while the disk fails (the file `fail` is there), and one after that; says what it hears."""

from __future__ import annotations

import sys
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from harness.errors import StoreError
from harness.store.records import Score, TaskResult
from harness.store.store import Store, open_store


def record(store: Store, claim, task: str) -> None:
    store.record_task(claim, TaskResult(task, "1", "f", (Score("accuracy", 0.5, None, 1),), (), 1.0))


def write(db: str, run_id: str, fail: str) -> None:
    """What the module says."""
    with open_store(db) as store:
        claim = store.claim(run_id, "here:1:1", "cpu")
        record(store, claim, "before")
        Path(fail).touch()
        try:
            record(store, claim, "while it fails")
            print("failing: nothing")
        except StoreError as error:
            print("failing:", str(error).removeprefix(f"{db}: "))
        try:
            with store._engine.connect() as connection:
                connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
            print("a checkpoint: nothing")
        except DBAPIError as error:  # which SQLite makes between commits and keeps to itself
            print("a checkpoint:", error.orig)
        Path(fail).unlink()
        record(store, claim, "after")
        print("mended")


if __name__ == "__main__":
    write(*sys.argv[1:])
