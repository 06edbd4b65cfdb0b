"""`harness db check`: a sound database, and one for each thing that can be wrong with it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.store.database import engine_for, for_writing
from harness.store.store import Store

from .records import RUN, TRAINING, completed, result, taken

TASKS = ("boolq", "piqa")


def spoil(url: str, statement: str) -> None:
    """Changes the database behind the harness's back."""
    engine = engine_for(url)
    with for_writing(engine).begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def check(url: str, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["--db", url, "db", "check", *options], standalone_mode=False)
    assert done.exception is None, done.exception
    return done.return_value, done.output


def test_a_sound_database_says_so(store: Store) -> None:
    completed(store, tasks=TASKS)

    assert check(store.url) == (0, f"{store.url}: sound\n")
    assert check(store.url, "--json") == (0, '{\n  "findings": []\n}\n')


def test_a_database_that_is_not_there_yet_is_sound_and_not_made(tmp_path: Path) -> None:
    assert check(f"sqlite:///{tmp_path / 'none.db'}")[0] == 0
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("statement", "run_id", "problem"),
    [
        ("UPDATE scores SET value = 0.75 WHERE position = 0 AND task = 1", RUN,
         "boolq: accuracy is recorded as 0.75 of 2, its outcomes give 0.5 of 2"),
        ("UPDATE scores SET n = 3 WHERE position = 0 AND task = 2", RUN,
         "piqa: accuracy is recorded as 0.5 of 3, its outcomes give 0.5 of 2"),
        ("UPDATE item_sets SET n = 3 WHERE task = 1", RUN, "boolq: 2 samples for 3 items"),
        ("UPDATE samples SET outcomes = answers WHERE task = 1", RUN, "boolq: its samples can't be read"),
        ("DELETE FROM memberships", RUN, "no experiment asks for it"),
        ("UPDATE runs SET train_id = 'other'", None, f"training t{RUN[1:]} belongs to no run"),
        ("DELETE FROM scorings WHERE task = 2", RUN, "piqa: samples without a record of the scoring"),
        ("DELETE FROM samples WHERE task = 2", None, "piqa: no run has answered item set 2"),
        ("DELETE FROM scores WHERE task = 2", RUN, "complete, but without a score of piqa"),
        ("UPDATE attempts SET outcome = NULL", RUN, "attempt 1 has no end, yet nobody is at the run"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_run_and_what_to_do(
    store: Store, statement: str, run_id: str | None, problem: str
) -> None:
    completed(store, tasks=TASKS)
    spoil(store.url, statement)

    code, printed = check(store.url, "--json")
    found = json.loads(printed)["findings"]

    assert code == 1
    assert any(finding["run_id"] == run_id and problem in finding["problem"] for finding in found), found
    assert all(finding["advice"] for finding in found)


def test_a_dead_workers_claim_is_found(store: Store) -> None:
    claim = taken(store, worker="elsewhere:1:1")
    store.record_training(claim, "t" + RUN[1:], TRAINING)
    store.record_task(claim, result("boolq"))
    assert check(store.url)[0] == 0

    spoil(store.url, "UPDATE runs SET heartbeat_at = '2020-01-01 00:00:00'")

    advice = "the experiment's harness run takes it over"
    assert check(store.url) == (1, f"{RUN} claimed by elsewhere:1:1, which is gone: {advice}\n")


def test_a_reference_to_nothing_is_found(store: Store, db: Path) -> None:
    completed(store, tasks=TASKS)
    with sqlite3.connect(db) as connection:  # without the harness's `foreign_keys`
        connection.execute("UPDATE samples SET run = 99 WHERE task = 1")
    connection.close()

    code, printed = check(store.url)

    assert code == 1
    assert printed.startswith("samples: row None refers to a row of runs that is not there: ")


def test_a_damaged_file_is_found_and_nothing_else_of_it_believed(store: Store, db: Path) -> None:
    completed(store, tasks=TASKS)
    spoil(store.url, "DELETE FROM memberships")
    store.close()
    with sqlite3.connect(db) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_runs_status'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    content = bytearray(db.read_bytes())
    content[(page - 1) * size : page * size] = bytes(size)
    db.write_bytes(content)

    code, printed = check(store.url)

    assert code == 1, printed
    assert all(line.startswith("the file is damaged: ") for line in printed.splitlines())
