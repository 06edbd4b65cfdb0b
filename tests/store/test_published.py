"""Every database holds the published numbers: from the first moment, as shipped, and renewed by an upgrade."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from harness.store.database import engine_for
from harness.store.published import shipped
from harness.store.store import Store, open_store, upgrade_store

from .records import RUN

ASSETS = Path(__file__).parent / "assets"
PRINTED = "params_percent: 0.83"


@pytest.fixture
def another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A version of the harness whose one file prints another number, and that lacks the others."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    told = (shipped.FOLDER / "denselora.yaml").read_text(encoding="utf-8")
    assert told.count(PRINTED) == 1
    (folder / "denselora.yaml").write_text(told.replace(PRINTED, "params_percent: 0.84"), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(shipped, "FOLDER", folder)
        forget()
        yield
    forget()


def forget() -> None:
    shipped.publications.cache_clear()
    shipped.digest.cache_clear()


def test_a_new_database_holds_every_published_number_as_shipped(store: Store) -> None:
    found = store.publications()

    assert found == shipped.publications()
    assert [each.source.key for each in found] == ["denselora", "dora", "llm_adapters", "peft_metamathqa"]
    assert sum(len(table.rows) for each in found for table in each.tables) == 150
    assert store.published_current()


@pytest.mark.parametrize("asset", sorted(path.name for path in ASSETS.glob("*.db")))
def test_an_upgraded_database_holds_them_too(tmp_path: Path, asset: str) -> None:
    url = f"sqlite:///{shutil.copy(ASSETS / asset, tmp_path / 'old.db')}"
    upgrade_store(url)

    with open_store(url, read_only=True) as store:
        assert store.publications() == shipped.publications()
        assert store.runs()


def test_the_database_tells_a_number_in_plain_sql(db: Path) -> None:
    query = """
        SELECT r.average FROM published_rows r JOIN published_tables t ON t.id = r.published_table
        WHERE t.publication = 'denselora' AND t.name = 'Figure 4' AND r.label = 'DenseLoRA r=256'
    """
    with engine_for(f"sqlite:///{db}", read_only=True).connect() as connection:
        assert connection.execute(text(query)).scalars().all() == [85.5]


def test_an_upgrade_puts_a_version_s_own_numbers_in_the_place_of_others(store: Store, another_version: None) -> None:
    before = store.publications()
    assert not store.published_current()

    upgrade_store(store.url)

    (source,) = store.publications()
    assert [row.params_percent for row in source.tables[1].rows if row.label == "LoRA"] == [0.84]
    assert source.tables[2:] == before[0].tables[2:]
    assert store.published_current()
    assert [run.run_id for run in store.runs()] == [RUN]


def test_to_open_a_database_does_not_change_its_numbers(store: Store, another_version: None) -> None:
    before = store.publications()
    with open_store(store.url) as again:
        assert again.publications() == before


def test_a_second_upgrade_writes_nothing(db: Path) -> None:
    url = f"sqlite:///{db}"
    upgrade_store(url)
    before = db.read_bytes()
    upgrade_store(url)
    assert db.read_bytes() == before


def test_published_numbers_are_no_results(db: Path) -> None:
    url = f"sqlite:///{db}"
    with open_store(url) as store:
        assert (store.runs(), store.benchmarks(), store.findings()) == ((), (), ())
