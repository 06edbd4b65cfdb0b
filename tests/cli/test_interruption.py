"""A run that is stopped or killed is picked up by the same command."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from .conftest import EXPERIMENT, Project

LONG = EXPERIMENT.replace("steps: 4", "steps: 30, eval_steps: 5")
PATIENCE = 180


def start(project: Project) -> subprocess.Popen[str]:
    """Starts the command in a process group of its own, as a terminal does."""
    project.write("line.yaml", LONG)
    return subprocess.Popen(
        project.command("run", "line.yaml"),
        cwd=project.folder,
        env=project.environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def begin(project: Project) -> subprocess.Popen[str]:
    """The command, once it trains and its first checkpoint is whole."""
    process = start(project)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not list(project.folder.glob(".harness/work/*/checkpoint-*/COMPLETE")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    return process


def statuses(project: Project) -> list[str]:
    with sqlite3.connect(project.folder / "results.db") as connection:
        return [status for (status,) in connection.execute("SELECT status FROM runs ORDER BY id")]


def trained_steps(project: Project) -> list[tuple[int, int | None]]:
    runs = project.json("status", "--json")["runs"]
    shown = [project.json("show", run["run_id"], "--json") for run in runs]
    return [(run["train"]["steps"], (run["provenance"]["training"] or {}).get("resumed_from")) for run in shown]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_stop_softly_and_the_same_command_goes_on(project: Project, number: signal.Signals) -> None:
    process = begin(project)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert "stopping: the step in hand ends" in said
    assert "the same command goes on from here: harness run line.yaml" in said
    assert statuses(project) == ["complete", "pending", "pending"]
    project.harness("run", "line.yaml")
    assert statuses(project) == ["complete"] * 3
    resumed = trained_steps(project)
    assert [steps for steps, _ in resumed] == [0, 30, 30]
    assert resumed[1][1], "the stopped training went on from its checkpoint"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_command_that_is_stopped_before_its_first_run_is_interrupted_too(
    project: Project, number: signal.Signals
) -> None:
    process = start(project)
    assert process.stderr is not None
    assert process.stderr.readline() == "line (paper): 0 reused, 3 to run\n"
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, statuses(project)) == (3, ["pending"] * 3)
    assert "the same command goes on from here" in said


@pytest.mark.slow
def test_a_killed_command_loses_nothing_that_was_recorded(project: Project) -> None:
    process = begin(project)
    family = psutil.Process(process.pid).children(recursive=True)
    for member in [psutil.Process(process.pid), *family]:
        member.kill()
    process.communicate()
    assert statuses(project) == ["complete", "running", "pending"]
    said = project.harness("run", "line.yaml").stderr
    assert "1 reused, 2 done" in said
    assert statuses(project) == ["complete"] * 3


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    family = psutil.Process(process.pid).children(recursive=True)
    return [child for child in family if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_run_goes_on_from_its_checkpoint(project: Project) -> None:
    process = begin(project)
    (worker,) = workers_of(process)
    worker.kill()
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "killed by signal 9 (was memory short?); see " in said
    assert "; tried again" in said
    assert statuses(project) == ["complete"] * 3
    assert trained_steps(project)[1][1], "it went on from its checkpoint"


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once_leaves_no_orphan_and_the_run_is_taken_over(project: Project) -> None:
    process = begin(project)
    workers = workers_of(process)
    assert workers
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert "a second Ctrl-C stops at once" in said
    assert "the same command goes on from here: harness run line.yaml" in said
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
    assert "complete" in statuses(project)
    project.harness("run", "line.yaml")
    assert statuses(project) == ["complete"] * 3


@pytest.mark.slow
def test_the_work_folder_is_empty_when_all_is_done(project: Project) -> None:
    project.harness("run", "line.yaml")
    assert not list(Path(project.folder, ".harness", "work").glob("*"))
