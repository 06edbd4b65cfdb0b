"""A worker process that is killed in the middle of a run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.pipeline.workers import is_gone, worker_name
from harness.store.store import Store

from . import racing
from .records import RUN


@pytest.fixture
def worker(store: Store):
    """A worker that has committed a training and a task and is in the transaction of its second task."""
    command = [sys.executable, racing.__file__, store.url, RUN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "in the middle of piqa\n"
        yield child
        child.kill()


def test_a_killed_worker_is_known_to_be_gone_and_its_run_goes_on(store: Store, worker: subprocess.Popen) -> None:
    alive = store.states([RUN])[RUN]
    assert not is_gone(alive)

    worker.kill()
    worker.wait()
    dead = store.states([RUN])[RUN]

    assert (dead.status, is_gone(dead)) == ("running", True)
    assert store.claim(RUN, worker_name(), "cpu") is None
    claim = store.claim(RUN, worker_name(), "cpu", dead)
    assert claim is not None
    assert [attempt.outcome for attempt in store.attempts(RUN)] == ["lost", None]


def test_what_a_killed_worker_committed_survives_and_what_it_had_begun_does_not(
    store: Store, worker: subprocess.Popen
) -> None:
    worker.kill()
    worker.wait()

    state = store.states([RUN])[RUN]
    assert set(state.scored) == {"boolq"}
    assert state.trained
    assert [score.value for score in store.scores([RUN])] == [0.5]


def test_a_killed_worker_counts_as_gone_before_its_parent_has_noticed(store: Store, worker: subprocess.Popen) -> None:
    import psutil

    worker.kill()
    while psutil.Process(worker.pid).status() != psutil.STATUS_ZOMBIE:
        pass

    assert is_gone(store.states([RUN])[RUN])
