"""Exactly one worker at a run, and none that comes late."""

from __future__ import annotations

import importlib
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from harness.store.claims import ClaimLost
from harness.store.records import Claim
from harness.store.store import Store

from .records import RUN, TRAINING, entry, experiment, result, taken

RACERS = 8


@pytest.fixture(params=["sqlite", "postgresql"])
def nowhere(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that nobody has made yet, or filled."""
    if request.param == "postgresql":
        return request.getfixturevalue("server").new()
    return f"sqlite:///{tmp_path / 'results.db'}"


def test_of_eight_processes_that_race_to_make_the_database_and_claim_its_run_one_gets_it(
    nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    race = importlib.import_module("racing").race  # by a name that a spawned process finds
    start = tmp_path / "start"
    with ProcessPoolExecutor(RACERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        racing = [pool.submit(race, f"w{n}", nowhere, RUN, str(start)) for n in range(RACERS)]
        while len(list(tmp_path.glob("start.*"))) < RACERS and not any(each.done() for each in racing):
            time.sleep(0.02)
        start.touch()
        ends = [each.result(timeout=60) for each in racing]

    assert sorted(ends) == ["claimed"] + ["late"] * (RACERS - 1)


def test_a_running_run_is_not_claimed_again(store: Store) -> None:
    claim = taken(store)

    assert store.claim(RUN, "there:2:2", "cpu") is None
    assert store.beat(claim)


def test_an_unknown_run_is_not_claimed(store: Store) -> None:
    assert store.claim("nobody", "here:1:1", "cpu") is None


@pytest.fixture
def late(store: Store) -> Claim:
    """The claim of a worker that was taken for dead after its first task, and whose run another one has."""
    claim = taken(store, worker="dead:1:1")
    store.record_task(claim, result("boolq"))
    seen = store.states([RUN])[RUN]
    assert store.claim(RUN, "heir:2:2", "cpu", seen) is not None
    return claim


def test_a_dead_workers_run_is_taken_over_and_its_attempt_marked_lost(store: Store, late: Claim) -> None:
    lost, current = store.attempts(RUN)

    assert (lost.outcome, lost.kind, lost.worker, lost.ended_at is None) == ("lost", "crashed", "dead:1:1", False)
    assert (current.outcome, current.worker, current.number) == (None, "heir:2:2", 2)
    assert store.states([RUN])[RUN].worker == "heir:2:2"


def test_only_one_heir_takes_over(store: Store) -> None:
    taken(store, worker="dead:1:1")
    seen = store.states([RUN])[RUN]

    assert store.claim(RUN, "heir:2:2", "cpu", seen) is not None
    assert store.claim(RUN, "heir:3:3", "cpu", seen) is None


def test_a_run_that_another_worker_has_done_since_it_was_seen_is_not_claimed(store: Store) -> None:
    seen = store.states([RUN])[RUN]
    store.finish(taken(store), {})

    assert store.claim(RUN, "late:3:3", "cpu", seen) is None
    assert store.claim(RUN, "late:3:3", "cpu", store.states([RUN])[RUN]) is not None


def test_a_late_worker_changes_nothing(store: Store, late: Claim) -> None:
    before = (store.scores([RUN]), store.attempts(RUN), store.runs([RUN]), set(store.states([RUN])[RUN].scored))

    assert not store.beat(late, "train")
    for write in (
        lambda: store.record_training(late, "t" + RUN[1:], TRAINING),
        lambda: store.record_task(late, result("piqa")),
        lambda: store.finish(late, {}),
        lambda: store.fail(late, "internal", "late", "", {}),
        lambda: store.release(late, {}),
    ):
        with pytest.raises(ClaimLost, match=f"run {RUN} was taken over"):
            write()

    after = (store.scores([RUN]), store.attempts(RUN), store.runs([RUN]), set(store.states([RUN])[RUN].scored))
    assert after == before
    assert after[3] == {"boolq"}


@pytest.mark.parametrize("end", ["finish", "fail", "release"])
def test_an_ended_claim_writes_no_more(store: Store, end: str) -> None:
    claim = taken(store)
    store.fail(claim, "oom", "", "", {}) if end == "fail" else getattr(store, end)(claim, {})

    with pytest.raises(ClaimLost):
        store.record_task(claim, result())


def test_a_released_run_waits_and_remembers_that_it_was_stopped(store: Store) -> None:
    store.release(taken(store), {"packages": {}})

    assert store.states([RUN])[RUN].status == "pending"
    assert [attempt.outcome for attempt in store.attempts(RUN)] == ["stopped"]
    assert store.claim(RUN, "here:3:3", "cpu") == Claim(RUN, 2, 2)


def test_two_experiments_register_while_a_worker_writes(store: Store) -> None:
    claim = taken(store)
    store.register(experiment("second"), [entry()])

    store.record_task(claim, result())
    assert set(store.states([RUN])[RUN].scored) == {"boolq"}


def test_an_attempt_tells_where_it_ran_and_with_which_settings(store: Store) -> None:
    claim = store.claim(RUN, "node7:12:99", "cuda:0", settings={"threads": 2, "micro_batch_size": 8})
    assert claim is not None
    store.note(claim, {"micro_batch_size": 4})

    (attempt,) = store.attempts(RUN)
    assert (attempt.host, attempt.device) == ("node7", "cuda:0")
    assert attempt.settings == {"threads": 2, "micro_batch_size": 4}


def test_a_lost_claim_changes_no_settings(store: Store, late: Claim) -> None:
    with pytest.raises(ClaimLost):
        store.note(late, {"micro_batch_size": 1})

    assert [attempt.settings for attempt in store.attempts(RUN)] == [{}, {}]


def test_what_comes_late_is_kept_apart(store: Store, late: Claim) -> None:
    before = store.scores([RUN])
    store.record_late(late, "dead:1:1", "piqa", {"accuracy": 0.75, "n": 4})
    store.record_late(late, "dead:1:1", None, {"steps": 30})

    assert store.scores([RUN]) == before
    kept = store.late_results(RUN)
    assert [(found.token, found.worker, found.task, found.payload) for found in kept] == [
        (late.token, "dead:1:1", "piqa", {"accuracy": 0.75, "n": 4}),
        (late.token, "dead:1:1", None, {"steps": 30}),
    ]
    assert store.states([RUN])[RUN].status == "running"
