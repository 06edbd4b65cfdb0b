"""Many workers on one database do each run once; one that lost its claim leaves the record to the other."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.pipeline.workers import is_gone
from harness.store.claims import ClaimLost
from harness.store.records import Claim, Entry, Score, TaskResult
from harness.store.store import Store, open_store

from .conftest import PATIENCE, TWO, Folder, made
from .test_edges import assert_as_undisturbed

RACER = Path(__file__).parent / "racer.py"
RACERS, RUNS = 10, 100
ABOUT = {"name": "race", "profile": "paper", "path": "", "question": "", "benchmark": "micro", "spec": {}}


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@pytest.mark.slow
def test_ten_processes_that_race_for_a_hundred_runs_do_each_once(tmp_path: Path) -> None:
    db, start = f"sqlite:///{tmp_path / 'results.db'}", tmp_path / "start"
    run_ids = [f"{number:012x}" for number in range(RUNS)]
    with open_store(db) as store:
        store.register(ABOUT, [Entry(each, f"t{each[1:]}", "m", "lora", 0, {}, "L", ("t",)) for each in run_ids])
    racers = [
        subprocess.Popen([sys.executable, str(RACER), db, str(start), str(n)], stdout=subprocess.PIPE, text=True)
        for n in range(RACERS)
    ]
    until(lambda: len(list(tmp_path.glob("start.*"))) == RACERS)
    start.touch()
    done = [json.loads(racer.communicate(timeout=PATIENCE)[0]) for racer in racers]

    assert Counter(run for each in done for run in each) == Counter(run_ids)
    assert sum(map(bool, done)) > 1, "more than one took part"
    with open_store(db, read_only=True) as store:
        assert {state.status for state in store.states(run_ids).values()} == {"complete"}
        assert [len(store.attempts(run)) for run in run_ids] == [1] * RUNS
        assert {(score.run_id, score.value) for score in store.scores(run_ids)} == {
            (run, float(int(run, 16))) for run in run_ids
        }


@pytest.fixture
def store(tmp_path: Path):
    """A database with one run that a worker of another host has begun."""
    with open_store(f"sqlite:///{tmp_path / 'results.db'}") as opened:
        opened.register(ABOUT, [Entry("0" * 12, "t" * 12, "m", "lora", 0, {}, "L", ("t",))])
        yield opened


def age(store: Store, tmp_path: Path, seconds: float) -> None:
    """Makes the last heartbeat so old."""
    with sqlite3.connect(tmp_path / "results.db") as connection:
        connection.execute("UPDATE runs SET heartbeat_at = datetime('now', ?)", (f"-{seconds} seconds",))


def scored(value: float) -> TaskResult:
    return TaskResult("t", "1", "f", (Score("accuracy", value, None, 1),), (), 1.0)


@pytest.mark.parametrize("first", ["old", "heir"])
def test_where_a_lease_ends_while_the_old_worker_commits_one_of_both_has_the_run(
    store: Store, tmp_path: Path, first: str
) -> None:
    """The old worker's commit is a heartbeat: whoever comes first wins, and the other one changes nothing."""
    run = "0" * 12
    old = store.claim(run, "elsewhere:1:1", "cpu")
    assert old is not None
    age(store, tmp_path, 200)
    seen = store.states([run])[run]
    assert is_gone(seen)

    if first == "old":
        store.record_task(old, scored(0.25))
        store.finish(old, {})
        heir = store.claim(run, "heir:2:2", "cpu", seen)
        assert heir is None or store.states([run])[run].scored, "what is recorded is not scored again"
    else:
        heir = store.claim(run, "heir:2:2", "cpu", seen)
        assert heir is not None
        for write in (lambda: store.record_task(old, scored(0.25)), lambda: store.finish(old, {})):
            with pytest.raises(ClaimLost):
                write()
        store.record_task(heir, scored(0.25))
        store.finish(heir, {})
    assert [score.value for score in store.scores([run])] == [0.25]


def test_an_heir_that_looked_before_the_old_worker_beat_again_takes_the_run_and_the_old_one_hears_of_it(
    store: Store, tmp_path: Path
) -> None:
    run = "0" * 12
    old = store.claim(run, "elsewhere:1:1", "cpu")
    assert isinstance(old, Claim)
    age(store, tmp_path, 200)
    seen = store.states([run])[run]
    assert store.beat(old)
    heir = store.claim(run, "heir:2:2", "cpu", seen)

    assert (heir is None) == store.beat(old), "exactly one of them holds it"


@pytest.mark.slow
def test_two_commands_on_one_experiment_at_once_do_each_run_once(tmp_path: Path, undisturbed_pair: Folder) -> None:
    folder = made(tmp_path, TWO)
    first, second = folder.start(), folder.start()
    codes = {first.wait(PATIENCE), second.wait(PATIENCE)}

    assert codes <= {0, 3}, "done, or what is missing is another's just now"
    assert folder.run() == 0, folder.said
    assert_as_undisturbed(folder, undisturbed_pair)
    with sqlite3.connect(folder.path / "results.db") as connection:
        assert connection.execute("SELECT outcome, count(*) FROM attempts GROUP BY outcome").fetchall() == [
            ("complete", 2)
        ]


@pytest.mark.slow
@pytest.mark.parametrize("edge", ["step:3", "task scored:1"])
@pytest.mark.parametrize("home", ["shared", "own"])
def test_a_stopped_worker_that_wakes_up_after_it_lost_its_claim_leaves_the_run_to_the_other(
    folder: Folder, undisturbed: Folder, edge: str, home: str
) -> None:
    """SIGSTOP holds all its threads, the heart too, as a suspended machine or a network that is away does."""
    folder.aim(edge, signal.SIGSTOP)
    own = {"HARNESS_HOME": str(folder.path / "elsewhere")} if home == "own" else {}
    late = folder.start(AS_HOST="elsewhere", BEAT="0.5", **own)
    until(lambda: folder.sent)
    (worker,) = workers_of(late)
    time.sleep(3)
    code = folder.run(LEASE="2", AT="none:0")
    said = folder.said
    assert code == 0, said
    os.kill(worker, signal.SIGCONT)
    late.wait(PATIENCE)

    with open_store(f"sqlite:///{folder.path / 'results.db'}", read_only=True) as store:
        (run,) = [run for run in store.runs() if run.status == "complete"]
        attempts = store.attempts(run.run_id)
        kept_apart = [result.task for result in store.late_results(run.run_id)]
    assert [(each.host == "elsewhere", each.outcome) for each in attempts] == [(True, "lost"), (False, "complete")]
    assert kept_apart == ([] if edge.startswith("step") else ["micro_true_false"])
    assert_as_undisturbed(folder, undisturbed)


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The process ids of the command's workers."""
    import psutil

    others = psutil.Process(process.pid).children(recursive=True)
    return [each.pid for each in others if "spawn_main" in " ".join(each.cmdline())]
