"""A results database of its own for every test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.store.store import Store, open_store

from .records import entry, experiment


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, made once: Alembic takes longer than most tests here."""
    path = tmp_path_factory.mktemp("empty") / "results.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def db(tmp_path: Path, empty: Path) -> Path:
    return Path(shutil.copy(empty, tmp_path / "results.db"))


@pytest.fixture
def store(db: Path) -> Iterator[Store]:
    """A database with one registered run."""
    with open_store(f"sqlite:///{db}") as opened:
        opened.register(experiment(), [entry()])
        yield opened
