"""The database file: its schema, its modes, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from harness.errors import StoreError
from harness.store import database
from harness.store.database import SCHEMA, engine_for, upgrade
from harness.store.documents import unpacked
from harness.store.store import Store, exists, open_store, upgrade_store
from harness.store.tables import Table

from .records import RUN, TRAINING, completed, entry, experiment, samples

ASSETS = Path(__file__).parent / "assets"
SYNCED_WITH_EVERY_COMMIT = 2


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def folder(path: Path) -> dict[str, str]:
    """What lies in a folder, and its bytes' hash."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.iterdir()}


def set_schema(path: Path, revision: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()


def test_a_new_database_has_the_newest_schema(db: Path) -> None:
    migrations = ScriptDirectory(str(Path(database.__file__).parent / "migrations"))

    assert migrations.get_current_head() == SCHEMA
    with engine_for(url(db)).connect() as connection:
        assert database.schema_of(connection) == SCHEMA


def test_the_migrations_make_the_tables_that_the_code_uses(db: Path) -> None:
    with engine_for(url(db)).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_the_journal_is_a_write_ahead_log_synced_with_every_commit(store: Store, db: Path) -> None:
    with engine_for(url(db)).connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == SYNCED_WITH_EVERY_COMMIT
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("0999", "newer than this version's .*: pip install --upgrade peft-harness"),
        ("0000", "harness --db .* db upgrade"),
    ],
)
def test_another_schema_is_refused_with_what_mends_it(db: Path, revision: str, words: str, read_only: bool) -> None:
    set_schema(db, revision)
    before = folder(db.parent)

    with pytest.raises(StoreError, match=f"results.db has schema {revision}.*{words}"):
        open_store(url(db), read_only)
    assert folder(db.parent) == before


def test_a_newer_schema_is_not_upgraded(db: Path) -> None:
    set_schema(db, "0999")

    with pytest.raises(StoreError, match="schema 0999 can't be upgraded"):
        upgrade(engine_for(url(db)))
    with pytest.raises(StoreError, match="pip install --upgrade peft-harness"):
        upgrade_store(url(db))


def test_a_schema_that_nobody_knows_is_not_upgraded_and_no_crash(db: Path) -> None:
    set_schema(db, "0000")

    with pytest.raises(StoreError, match="schema 0000 can't be upgraded: Can't locate revision"):
        upgrade_store(url(db))


def test_upgrading_makes_a_database_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for name in ("new.db", "empty.db"):
        upgrade_store(url(tmp_path / name))
        upgrade_store(url(tmp_path / name))
        with open_store(url(tmp_path / name), read_only=True) as store:
            assert store.runs() == ()


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE mine (x)", "CREATE TABLE alembic_version AS SELECT '3f2a' version_num"]
)
def test_a_database_of_somebody_elses_is_refused_and_stays_as_it_was(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    before = folder(tmp_path)

    with pytest.raises(StoreError, match=r"other\.db holds something else"):
        open_store(url(path))
    assert folder(tmp_path) == before
    with pytest.raises(StoreError, match=r"other\.db holds something else"):
        upgrade_store(url(path))
    assert folder(tmp_path) == before
    with pytest.raises(StoreError, match="can't be upgraded"):
        upgrade(engine_for(url(path)))


def test_a_file_that_is_no_database_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("not a database, but long enough to look at " * 50)
    before = folder(tmp_path)

    with pytest.raises(StoreError, match=r"notes\.db is no results database: file is not a database"):
        open_store(url(path))
    assert folder(tmp_path) == before


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("results.db", "write sqlite:///FILE"),
        ("://", "write sqlite:///FILE"),
        ("nodb://server/x", "write sqlite:///FILE"),
        ("mysql://me:secret@server/x", r"mysql://me:\*{3}@server/x.* mysql is not supported"),
        ("sqlite:////no/such/folder/results.db", "there is no folder /no/such/folder"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(address: str, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        open_store(address)


def test_reading_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such database yet; harness run makes it"):
        open_store(url(tmp_path / "results.db"), read_only=True)
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="is empty; harness run fills it"):
        open_store(url(tmp_path / "empty.db"), read_only=True)

    assert not exists(url(tmp_path / "results.db"))
    assert folder(tmp_path) == {"empty.db": hashlib.sha256().hexdigest()}


def test_reading_changes_no_byte_and_leaves_no_file(store: Store, db: Path) -> None:
    completed(store)
    store.close()
    before = folder(db.parent)

    with open_store(url(db), read_only=True) as reading:
        assert reading.states([RUN])[RUN].status == "complete"
        assert folder(db.parent) == before
        with pytest.raises(StoreError, match="readonly"):
            reading.register(experiment(), [entry()])
    assert set(before) == {"results.db"}
    assert folder(db.parent) == before


def test_reading_sees_what_a_writer_has_committed_and_changes_no_byte(store: Store, db: Path) -> None:
    completed(store)
    before = folder(db.parent)
    assert "results.db-wal" in before

    with open_store(url(db), read_only=True) as reading:
        assert reading.scores([RUN])[0].value == 0.5
    after = folder(db.parent)

    assert set(after) == set(before)
    assert {name: after[name] for name in ("results.db", "results.db-wal")} == {
        name: before[name] for name in ("results.db", "results.db-wal")
    }


def test_reading_through_a_link_sees_what_a_writer_has_committed(store: Store, db: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(db)
    completed(store)

    with open_store(url(link), read_only=True) as reading:
        assert reading.states([RUN])[RUN].status == "complete"


def test_making_a_database_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.db"
    import alembic.op

    with monkeypatch.context() as broken:
        broken.setattr(alembic.op, "create_index", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            open_store(url(path))

    with open_store(url(path)) as made:
        made.register(experiment(), [entry()])


@pytest.mark.parametrize("asset", sorted(ASSETS.glob("*.db")), ids=lambda path: path.stem)
def test_an_upgrade_leaves_what_is_recorded_intact(asset: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(asset, tmp_path))
    upgrade(engine_for(url(path)))

    with open_store(url(path)) as store:
        (run,) = store.runs(loss=True)
        assert (run.run_id, run.status, run.training) == (RUN, "complete", TRAINING)
        assert [(score.task, score.metric, score.value) for score in store.scores([RUN])] == [
            ("boolq", "accuracy", 0.5),
            ("boolq", "extracted", 0.5),
        ]
        assert store.samples(RUN, "boolq") == samples()
        assert [place.label for place in store.memberships("first")] == ["LoRA"]
        assert [attempt.outcome for attempt in store.attempts(RUN)] == ["complete"]


def specification(seed: int | None, learning_rate: float) -> dict[str, object]:
    """What a run's specification looked like in schema 0002, in its order."""
    return {
        "model": {"name": "micro-llama", "content": "sha256:1"},
        "adapter": {"method": "lora", "params": {"r": 8}},
        "data": {"name": "micro", "fraction": 0.1},
        "train": {"learning_rate": learning_rate, "warmup_steps": 0},
        "prompt": {"name": "plain", "train": "é {question}", "score": "{question}"},
        "score": {"limit": None, "decoding": {"beams": 1}},
        "seed": seed,
        "keep": False,
        "tasks": ["boolq"],
        "train_id": f"t{seed or 9:011}",
        "run_id": f"{seed or 9:012}",
    }


SPECS = [specification(seed, rate) for seed, rate in ((1, 3e-4), (2, 3e-4), (3, 1e-3), (None, 1e-3))]
PROVENANCES = [{"config": {"until": []}, "overlap": {"items": 9}, "mean_output_tokens": 1.5 * n} for n in range(4)]


def fill_0002(path: Path) -> None:
    """Adds runs with specifications and provenance to a database of schema 0002: copies of its one run."""
    changed = {
        "runs": lambda n: {
            "id": n + 2,
            **{key: SPECS[n][key] for key in ("run_id", "train_id", "seed")},
            "spec": SPECS[n],
        },
        "memberships": lambda n: {"run": n + 2, "position": n + 2},
        "scores": lambda n: {"run": n + 2},
        "scorings": lambda n: {"run": n + 2, "provenance": PROVENANCES[n]},
        "samples": lambda n: {"run": n + 2},
    }
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        for table, changes in changed.items():
            for row in connection.execute(f"SELECT * FROM {table}").fetchall():
                for number in range(len(SPECS)):
                    values = {**dict(row), **changes(number)}
                    held = [json.dumps(value) if isinstance(value, dict) else value for value in values.values()]
                    marks = ", ".join("?" * len(held))
                    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", held)
    connection.close()


def scoring_provenances(path: Path) -> list[dict[str, object]]:
    """What was written down of every scoring, by run."""
    query = "SELECT s.provenance, d.content FROM scorings s LEFT JOIN documents d ON d.id = s.shared ORDER BY s.run"
    with sqlite3.connect(path) as connection:
        rows = connection.execute(query).fetchall()
    connection.close()
    return [{**json.loads(own), **(unpacked(shared) if shared else {})} for own, shared in rows]


def test_specifications_and_provenance_of_schema_0002_are_kept_once_and_read_back_equal(tmp_path: Path) -> None:
    path = Path(shutil.copy(ASSETS / "0002.db", tmp_path))
    fill_0002(path)
    upgrade(engine_for(url(path)))

    with open_store(url(path)) as store:
        first, *rest = store.runs()
        assert first.spec == {"model": "micro-llama"}
        assert [run.spec for run in rest] == SPECS
        assert [run.finished_at for run in rest] == [first.finished_at] * len(SPECS)
        assert first.training == dataclasses.replace(TRAINING, loss=())
        assert store.attempts(RUN)[0].provenance == {"packages": {"peft": "0.21.2"}}
        assert store.overlaps([run.run_id for run in rest]) == {run.run_id: {"boolq": {"items": 9}} for run in rest}
        for run in rest:
            assert store.samples(run.run_id, "boolq") == samples()
            assert len(store.scores([run.run_id])) == 2
        assert {finding.problem for finding in store.findings()} == {"complete, but without a score of piqa"}
        store.register(experiment(), [entry("e" * 12)])  # new documents get numbers of their own
        assert store.runs(["e" * 12])[0].spec == entry().spec
    assert scoring_provenances(path) == [{"prompt": "plain"}, *PROVENANCES]
    with sqlite3.connect(path) as connection:
        settings, points = connection.execute(
            "SELECT count(DISTINCT setting), count(DISTINCT point) FROM runs WHERE id BETWEEN 2 AND 5"
        ).fetchone()
        assert (settings, points) == (1, 2)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_an_upgrade_that_fails_leaves_the_old_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(shutil.copy(ASSETS / "0002.db", tmp_path))
    import alembic.op

    with monkeypatch.context() as broken:
        broken.setattr(alembic.op, "batch_alter_table", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            upgrade(engine_for(url(path)))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT spec FROM runs").fetchall() == [('{"model": "micro-llama"}',)]
    connection.close()

    upgrade_store(url(path))
    with open_store(url(path)) as store:
        assert store.runs()[0].spec == {"model": "micro-llama"}


def test_there_is_a_database_of_every_schema() -> None:
    assert [path.stem for path in sorted(ASSETS.glob("*.db"))] == [f"{n:04}" for n in range(1, int(SCHEMA) + 1)]
    assert all(path.stat().st_size < 200_000 for path in ASSETS.iterdir())
