"""Reports and runs at the same time: neither waits for the other, and a report changes nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.store.store import Store, open_store

from .records import RUN, TRAINING, completed, entry, experiment, result, taken

OTHER = "ba9876543210"
AT_ONCE = 5.0
"""Seconds, far below the time for which SQLite waits at a lock."""
READ = "SELECT status FROM runs"


def raw(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=0)


def test_a_report_reads_what_is_committed_while_a_run_is_writing(db: Path, store: Store) -> None:
    completed(store)
    writer = raw(db)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE runs SET status = 'failed'")
    begin = time.monotonic()
    with open_store(store.url, read_only=True) as reading:
        assert reading.states([RUN])[RUN].status == "complete"
        assert len(reading.scores([RUN])) == 2
    assert time.monotonic() - begin < AT_ONCE
    writer.execute("COMMIT")
    writer.close()


def test_a_run_commits_all_of_its_results_while_a_report_is_reading(db: Path, store: Store) -> None:
    claim = taken(store)
    reader = raw(db)
    reader.execute("BEGIN")
    assert reader.execute(READ).fetchall() == [("running",)]
    begin = time.monotonic()
    store.beat(claim, "train")
    store.record_training(claim, "t" + RUN[1:], TRAINING)
    store.record_task(claim, result("boolq"))
    store.finish(claim, {})
    store.register(experiment("second"), [entry(OTHER)])
    assert time.monotonic() - begin < AT_ONCE
    assert reader.execute(READ).fetchall() == [("running",)]
    reader.execute("COMMIT")
    assert sorted(reader.execute(READ).fetchall()) == [("complete",), ("pending",)]
    reader.close()


def test_a_report_of_another_process_leaves_a_writing_run_alone(db: Path, store: Store) -> None:
    claim = taken(store)
    store.record_task(claim, result("boolq"))
    writer = raw(db)
    writer.execute("BEGIN IMMEDIATE")
    command = [sys.executable, "-m", "harness", "--db", store.url, "status"]
    shown = subprocess.run(command, capture_output=True, text=True, cwd=db.parent, timeout=60, check=False)
    writer.execute("ROLLBACK")
    writer.close()

    assert (shown.returncode, shown.stderr) == (0, "")
    assert RUN in shown.stdout
    store.finish(claim, {})
    assert store.states([RUN])[RUN].status == "complete"


@pytest.fixture
def sealed(db: Path, store: Store) -> Path:
    """A finished database as it is passed on: one file that may only be read."""
    completed(store)
    store.close()
    db.chmod(0o444)
    return db


def test_a_file_that_may_only_be_read_is_reported(sealed: Path) -> None:
    with open_store(f"sqlite:///{sealed}", read_only=True) as reading:
        assert reading.states([RUN])[RUN].status == "complete"
    assert [path.name for path in sealed.parent.iterdir()] == [sealed.name]


def test_a_folder_that_may_only_be_read_is_reported(sealed: Path) -> None:
    sealed.parent.chmod(0o555)
    try:
        with open_store(f"sqlite:///{sealed}", read_only=True) as reading:
            assert reading.scores([RUN])[0].value == 0.5
            with pytest.raises(StoreError, match="readonly"):
                reading.register(experiment(), [entry()])
    finally:
        sealed.parent.chmod(0o755)
    assert [path.name for path in sealed.parent.iterdir()] == [sealed.name]
