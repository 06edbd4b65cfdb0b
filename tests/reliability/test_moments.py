"""Killed at any moment, with its workers or without them, the same command ends to the same bits."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from .conftest import PATIENCE, Folder, Warm, made
from .test_edges import assert_as_undisturbed

MOMENTS = 50
WHOM = ("family", "worker", "command")
SPAWNED = ("model loaded:1", "step:3", "checkpoint to be marked:2", "trained:1", "adapter saved:1", "task recorded:1")


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that the command has begun."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def kill(process: subprocess.Popen[str], whom: str) -> None:
    """Kills the command, its workers, or all of them; returns once all that are to end have ended."""
    others = family(process)
    workers = [each for each in others if "spawn_main" in " ".join(cmdline(each))]
    if whom != "worker":
        process.kill()
    for each in others if whom == "family" else workers if whom == "worker" else []:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait(PATIENCE)
    _, alive = psutil.wait_procs(others, timeout=PATIENCE)
    assert not alive, "a worker whose command is gone ends by itself"


def cmdline(process: psutil.Process) -> Sequence[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return ()


def finish(folder: Folder, undisturbed: Folder) -> None:
    assert folder.run() == 0, folder.said
    assert_as_undisturbed(folder, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["worker", "family", "parent"])
@pytest.mark.parametrize("edge", SPAWNED)
def test_a_spawned_worker_is_killed_at_an_edge(folder: Folder, undisturbed: Folder, edge: str, whom: str) -> None:
    """By itself: the command replaces it. With its command, or the command alone: the same command goes on."""
    folder.aim(edge, signal.SIGKILL, whom)
    process = folder.start()
    while not folder.sent and process.poll() is None:
        time.sleep(0.05)
    others = family(process)
    code = process.wait(PATIENCE)
    psutil.wait_procs(others, timeout=PATIENCE)

    assert folder.sent
    assert code == (0 if whom == "worker" else -signal.SIGKILL), folder.said
    finish(folder, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("edge", SPAWNED)
def test_a_command_with_a_spawned_worker_is_told_to_stop_at_an_edge(
    folder: Folder, undisturbed: Folder, edge: str
) -> None:
    folder.aim(edge, signal.SIGTERM, "parent")
    assert folder.run() == 3, folder.said
    assert folder.sent
    finish(folder, undisturbed)


@pytest.mark.slow
def test_a_command_is_killed_at_random_moments(tmp_path: Path, warm: Warm, undisturbed: Folder) -> None:
    calm = made(tmp_path / "calm")
    begun = time.monotonic()
    assert calm.run() == 0
    whole = time.monotonic() - begun
    draw, failed, killed = random.Random(20), {}, 0
    for number in range(2 * MOMENTS):
        folder, whom, moment = made(tmp_path / str(number)), WHOM[number % len(WHOM)], draw.uniform(0.2, whole)
        process = folder.start()
        try:
            assert process.wait(moment) == 0, "it may be done before this moment, and then well"
            continue
        except subprocess.TimeoutExpired:
            killed += 1
        try:
            kill(process, whom)
            said = folder.said
            code = warm.run(folder)  # the rest in a fork: the same command, with less waiting for imports
            assert code == 0, said + folder.said
            assert_as_undisturbed(folder, undisturbed)
        except AssertionError as error:
            failed[number, whom, moment] = str(error)
        if killed == MOMENTS:
            break
    assert not failed
    assert killed == MOMENTS
