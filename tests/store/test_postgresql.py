"""What a server does otherwise than a file: its time zone, its types, its errors; and a whole experiment on one."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import StoreError
from harness.store.database import engine_for
from harness.store.store import Store, open_store
from harness.store.tables import Table

from .records import RUN, completed, entry, experiment, taken
from .servers import Server

EXPERIMENT = """\
# Does a server hold what a file holds?
name: served
base: {model: micro-llama}
data: {train: micro}
train: {steps: 2, max_length: 64}
score: {limit: 4}
adapters: [{method: lora, r: 4}]
seeds: [0, 1]
tasks: [micro_true_false]
"""


@pytest.fixture
def url(server: Server) -> str:
    return server.new("empty")


@pytest.fixture
def served(url: str) -> Store:
    with open_store(url) as store:
        store.register(experiment(), [entry()])
        yield store


def test_the_migrations_make_the_tables_that_the_code_uses(url: str) -> None:
    with engine_for(url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_a_heartbeat_is_as_old_as_it_is_whatever_time_zone_a_process_has(
    served: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken(served)
    for zone in ("Asia/Kolkata", "America/New_York"):
        monkeypatch.setenv("PGTZ", zone)
        with open_store(served.url, read_only=True) as elsewhere:
            assert 0 <= elsewhere.states([RUN])[RUN].beat_seconds_ago < 60


def test_the_largest_seed_that_an_experiment_may_ask_is_kept(served: Store) -> None:
    served.register(experiment("seeds"), [dataclasses.replace(entry("f" * 12), seed=2**32 - 1)])

    assert served.runs(["f" * 12])[0].seed == 2**32 - 1


def test_who_only_reads_can_change_nothing(served: Store) -> None:
    with open_store(served.url, read_only=True) as reading, pytest.raises(StoreError, match="read-only transaction"):
        reading.register(experiment("second"), [entry()])


def test_an_empty_database_is_told_from_a_filled_one(server: Server) -> None:
    empty = server.new()
    with pytest.raises(StoreError, match="is empty; harness run fills it"):
        open_store(empty, read_only=True)

    open_store(empty).close()
    with open_store(empty, read_only=True) as store:
        assert store.runs() == ()


def test_a_server_that_does_not_answer_is_told_in_one_line_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="can't be opened: connection") as refused:
        open_store(f"postgresql://me:secret@/results?host={tmp_path}")

    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_without_a_driver_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(StoreError, match=r"pip install 'peft-harness\[postgres\]'"):
        open_store("postgresql://server/results")


def test_results_of_a_file_are_pooled_on_a_server(served: Store, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'file.db'}") as file:
        file.register(experiment(), [entry()])
        completed(file, tasks=("boolq", "piqa"))

        assert served.merge(file).scores == 2
        assert served.samples(RUN, "boolq") == file.samples(RUN, "boolq")
    assert CliRunner().invoke(cli, ["--db", served.url, "db", "check"], standalone_mode=False).return_value == 0


@pytest.mark.slow
def test_an_experiment_runs_on_a_server_with_two_workers_and_is_reported(server: Server, tmp_path: Path) -> None:
    url = server.new()
    spec = tmp_path / "served.yaml"
    spec.write_text(EXPERIMENT)
    _harness(tmp_path, url, "run", str(spec), "--workers", "2")

    status = json.loads(_harness(tmp_path, url, "status", str(spec), "--json"))
    board = json.loads(_harness(tmp_path, url, "report", "--leaderboard", "--format", "json"))
    shown = json.loads(_harness(tmp_path, url, "show", status["runs"][0]["run_id"], "--json"))
    assert status["counts"]["complete"] == 2
    assert board["rows"][0]["seeds"] == 2
    assert [score["n"] for score in shown["scores"]][:1] == [4]
    assert _harness(tmp_path, url, "db", "check") == f"{url}: sound\n"


def _harness(folder: Path, url: str, *arguments: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    environment: dict[str, Any] = kept | {"OMP_NUM_THREADS": "1", "HARNESS_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "harness", "--db", url, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
