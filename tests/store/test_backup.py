"""A backup of a database that is being written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from harness.store.store import Store, open_store

from .records import RUN, completed, entry, experiment, result, taken

OTHER = "ba9876543210"


def test_vacuum_into_makes_one_whole_file_beside_a_writer(store: Store, db: Path, tmp_path: Path) -> None:
    store.register(experiment(), [entry(), entry(OTHER)])
    completed(store, tasks=("boolq", "piqa"))
    store.record_task(taken(store, OTHER), result("boolq"))
    backup = tmp_path / "backup.db"
    with store._writing():
        reading = sqlite3.connect(db)
        reading.execute("VACUUM INTO ?", (str(backup),))
        reading.close()

    with open_store(f"sqlite:///{backup}", read_only=True) as copied:
        assert copied.findings() == ()
        assert copied.scores([RUN, OTHER]) == store.scores([RUN, OTHER])
