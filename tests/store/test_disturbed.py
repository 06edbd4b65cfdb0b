"""A file that nobody wrote to as a long read of it began, and somebody does before its end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from harness.errors import StoreError
from harness.store import check, merge
from harness.store.bare_file import READS
from harness.store.store import Store, open_store

from .records import completed, entry, experiment

IDS = [f"{number:012x}" for number in range(20)]


@pytest.fixture
def closed(db: Path) -> str:
    """A database of complete runs; no log lies beside it."""
    with open_store(f"sqlite:///{db}") as store:
        store.register(experiment(), [entry(run_id) for run_id in IDS])
        for run_id in IDS:
            completed(store, run_id, tasks=("boolq", "piqa"))
    return f"sqlite:///{db}"


@pytest.fixture
def reading(closed: str) -> Iterator[Store]:
    with open_store(closed, read_only=True) as store:
        yield store


def write(url: str, *tasks: str) -> None:
    """A whole command: it opens the file, records these tasks of each run and folds the log in."""
    with open_store(url) as store:
        for run_id in IDS:
            completed(store, run_id, tasks=tasks)


def beside(url: str) -> list[str]:
    return sorted(path.name for path in Path(url.removeprefix("sqlite:///")).parent.glob("results.db*"))


def interrupted(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, action: Callable[[], None], times: int = 1
) -> None:
    """Lets an action happen each of the first `times` that a function is called, which has read before."""
    original, left = getattr(module, name), [times]

    def instead(session: Session, *arguments: Any) -> Any:
        session.execute(text("SELECT count(*) FROM runs")).all()
        if left[0]:
            left[0] -= 1
            action()
        return original(session, *arguments)

    monkeypatch.setattr(module, name, instead)


def test_a_sound_file_is_found_sound_while_a_command_begins_to_write(
    reading: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(monkeypatch, check, "damage", lambda: write(reading.url, "siqa"))

    assert reading.findings() == ()
    assert beside(reading.url) == ["results.db"]


def test_a_database_is_merged_as_it_is_after_a_command_wrote_to_it(
    reading: Store, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(monkeypatch, merge, "_trainings", lambda: write(reading.url, "siqa"))
    with open_store(f"sqlite:///{shutil.copy(empty, tmp_path / 'ours.db')}") as ours:
        found = ours.merge(reading)

        assert (found.runs, found.scores) == (len(IDS), 3 * len(IDS))
        assert ours.findings() == ()
        assert {score.task for score in ours.scores(IDS)} == {"boolq", "piqa", "siqa"}
    assert beside(reading.url) == ["results.db"]


def test_a_file_that_is_always_written_to_is_told(reading: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = iter(f"task{number}" for number in range(READS))
    interrupted(monkeypatch, check, "damage", lambda: write(reading.url, next(tasks)), times=READS)

    with pytest.raises(StoreError, match=r"results\.db was written to while it was read; try again"):
        reading.findings()
    assert next(tasks, None) is None
    assert reading.findings() == ()
