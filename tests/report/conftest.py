"""A results database in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.store.store import Store, open_store

from .database import Database


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, made once: Alembic takes longer than most tests here."""
    path = tmp_path_factory.mktemp("empty") / "results.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def database(tmp_path: Path, empty: Path) -> Database:
    return Database(Path(shutil.copy(empty, tmp_path)))


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    with open_store(database.url) as opened:
        yield opened
