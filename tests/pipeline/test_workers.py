"""Who a worker is, and whether it still lives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from harness.pipeline.workers import LEASE_SECONDS, is_gone, worker_name
from harness.store.records import RunState


def running(worker: str | None, beat: float | None = 1.0) -> RunState:
    return RunState("r", "t", "running", "train", None, None, worker, beat, 1, {}, False)


def test_a_worker_is_named_by_host_process_and_start() -> None:
    host, pid, started, space = worker_name().split(":")

    assert (host, pid) == (socket.gethostname(), str(os.getpid()))
    assert int(started) > 1_500_000_000
    assert space == worker_name(os.getppid()).split(":")[3]
    assert worker_name(os.getppid()) != worker_name()


def test_this_very_worker_lives_however_long_it_has_not_been_heard_of() -> None:
    assert not is_gone(running(worker_name(), LEASE_SECONDS * 100))


def test_a_worker_of_this_host_whose_process_ended_is_gone_at_once(dead_worker: str) -> None:
    assert is_gone(running(dead_worker, 0.0))


def test_a_worker_of_this_host_that_was_killed_is_gone_before_its_parent_notices() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = worker_name(child.pid)
    assert not is_gone(running(name))
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert is_gone(running(name))
    child.communicate()


@pytest.mark.parametrize("seconds", [-1, 1])
def test_a_start_reckoned_a_second_off_is_the_same_process(seconds: int) -> None:
    host, pid, started, space = worker_name().split(":")

    assert not is_gone(running(f"{host}:{pid}:{int(started) + seconds}:{space}", LEASE_SECONDS * 100))


@pytest.mark.parametrize(("beat", "gone"), [(1.0, False), (LEASE_SECONDS + 1, True)])
def test_a_process_of_another_start_counts_as_the_worker_until_the_lease_ends(beat: float, gone: bool) -> None:
    host, pid, _, space = worker_name().split(":")

    assert is_gone(running(f"{host}:{pid}:1:{space}", beat)) is gone


@pytest.mark.parametrize(("beat", "gone"), [(0.0, False), (LEASE_SECONDS + 1, True), (None, False)])
def test_a_worker_of_another_host_is_gone_after_the_lease(beat: float | None, gone: bool) -> None:
    assert is_gone(running("elsewhere.example:1:1", beat)) is gone


@pytest.mark.parametrize(("beat", "gone"), [(1.0, False), (LEASE_SECONDS + 1, True)])
def test_a_worker_of_another_container_with_this_host_s_name_is_gone_after_the_lease(beat: float, gone: bool) -> None:
    assert is_gone(running(f"{socket.gethostname()}:999999:1:0badc0de", beat)) is gone


def test_a_running_run_without_a_worker_has_none() -> None:
    assert is_gone(running(None))
