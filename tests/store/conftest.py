"""A results database of its own for every test, on SQLite and on a PostgreSQL server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.store.store import Store, open_store

from .records import entry, experiment
from .servers import Server, running

Databases = Callable[[str], str]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What asks for no file runs on both kinds of database."""
    if "databases" in metafunc.fixturenames:
        kinds = ["sqlite"] if "db" in metafunc.fixturenames else ["sqlite", "postgresql"]
        metafunc.parametrize("databases", kinds, indirect=True)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, made once: Alembic takes longer than most tests here."""
    path = tmp_path_factory.mktemp("empty") / "results.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server whose database `empty` has the tables."""
    with running() as started:
        started.do("CREATE DATABASE empty")
        open_store(started.url("empty")).close()
        yield started


@pytest.fixture
def db(tmp_path: Path, empty: Path) -> Path:
    return Path(shutil.copy(empty, tmp_path / "results.db"))


@pytest.fixture
def databases(request: pytest.FixtureRequest, tmp_path: Path, empty: Path) -> Databases:
    """Makes databases that have the tables and nothing else: a name's URL, the same for the same name."""
    made: dict[str, str] = {}

    def make(name: str) -> str:
        if name not in made:
            if request.param == "postgresql":
                made[name] = request.getfixturevalue("server").new("empty")
            else:
                path = tmp_path / f"{name}.db"
                made[name] = f"sqlite:///{path if path.exists() else shutil.copy(empty, path)}"
        return made[name]

    return make


@pytest.fixture
def store(databases: Databases) -> Iterator[Store]:
    """A database with one registered run."""
    with open_store(databases("results")) as opened:
        opened.register(experiment(), [entry()])
        yield opened
