"""Where the runs stand, in numbers and in lines."""

from __future__ import annotations

import pytest

from harness.store.store import Store, open_store

from .conftest import Databases
from .records import completed, entry, experiment, taken

PENDING, RUNNING, FAILED, DONE, LATER = (letter * 12 for letter in "prfdl")


@pytest.fixture
def store(databases: Databases) -> Store:
    """A run of each kind; `LATER` was registered last and is done, too."""
    opened = open_store(databases("results"))
    opened.register(experiment(), [entry(run, label=run[0]) for run in (PENDING, RUNNING, FAILED, DONE)])
    opened.register(experiment("second"), [entry(LATER, label="l"), entry(DONE, label="again")])
    for run in (DONE, LATER):
        completed(opened, run)
    opened.fail(taken(opened, FAILED), "oom", "no memory", "Traceback", {})
    taken(opened, RUNNING)
    return opened


def test_runs_are_counted_by_status(store: Store) -> None:
    assert store.counts() == {"pending": 1, "running": 1, "failed": 1, "complete": 2}


def test_a_run_of_two_experiments_is_listed_in_the_latest_one(store: Store) -> None:
    listed = {run.run_id: run for run in store.listing()}

    assert list(listed) == [LATER, DONE, PENDING, RUNNING, FAILED]
    assert (listed[DONE].experiment, listed[DONE].label) == ("second", "again")
    assert (listed[FAILED].status, listed[FAILED].error, listed[FAILED].attempts) == ("failed", "no memory", 1)
    assert (listed[PENDING].attempts, listed[PENDING].seed) == (0, 0)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, [RUNNING]),
        (2, [RUNNING, FAILED]),
        (4, [LATER, PENDING, RUNNING, FAILED]),
        (99, [LATER, DONE, PENDING, RUNNING, FAILED]),
    ],
)
def test_of_many_those_are_listed_that_are_looked_at_first(store: Store, limit: int, expected: list[str]) -> None:
    assert [run.run_id for run in store.listing(limit=limit)] == expected


def test_runs_are_listed_by_their_ids(store: Store) -> None:
    assert [run.run_id for run in store.listing([FAILED, "nobody"])] == [FAILED]
