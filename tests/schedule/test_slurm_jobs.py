"""What Slurm is given, and what is made of what it tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import cli
from harness.schedule.cluster.job import End
from harness.schedule.cluster.slurm import SlurmJobs
from harness.schedule.devices import Devices

from .conftest import EXPERIMENT, Place, with_slurm
from .hand import until

TASK = '''\
"""Stands for a run that needs no torch: it writes what it was told to, and takes its time."""
import json, os, time
from dataclasses import dataclass

@dataclass
class Task:
    run_id: str
    file: str
    seconds: float = 0.0

    def __call__(self, heeds_signals, cores):
        with open(self.file + ".draft", "w") as file:
            json.dump(dict(os.environ), file)
        os.rename(self.file + ".draft", self.file)
        time.sleep(self.seconds)
'''


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with Slurm; returns where its jobs are written down."""
    with_slurm(tmp_path / "bin", monkeypatch)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "stand_in_task.py").write_text(TASK)
    return tmp_path / "bin" / "jobs"


@pytest.fixture
def task(slurm: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Makes tasks that write into `told` in the test's folder."""
    module = import_module("stand_in_task")
    yield lambda run_id, seconds=0.0: module.Task(run_id, str(tmp_path / "told"), seconds)
    del sys.modules["stand_in_task"]


def asked(jobs: SlurmJobs, ticket: Any) -> End | None:
    """The end of a job, asked of Slurm now."""
    jobs._states.ask_soon()
    return jobs.end(ticket)


def invoke(place: Place, *arguments: str) -> Result:
    place.experiment(["{method: lora, r: 2}"])
    return CliRunner().invoke(cli, ["run", "few.yaml", *arguments])


def said(result: Result) -> str:
    return " ".join(f"{result.output} {result.exception}".split())


def test_slurm_gets_the_options_that_were_given_and_no_limit_of_its_own(
    slurm: Path, task: Any, tmp_path: Path
) -> None:
    jobs = SlurmJobs({"partition": "gpu", "--gpus-per-node": "1", "time": "4:00:00", "exclusive": ""})
    ticket = jobs.submit(task("1c0ffee00000"))

    told = json.loads(until(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text()))
    assert (told["SLURM_JOB_ID"], told["HARNESS_HOME"]) == ("1", str(tmp_path / "home"))
    flags = json.loads((slurm / "1.json").read_text())["flags"]
    given = {"partition": "gpu", "gpus-per-node": "1", "time": "4:00:00", "job-name": "harness-1c0ffee00000"}
    assert given.items() <= flags.items()
    assert {"exclusive", "signal"} <= set(flags)
    assert "wckey" not in flags
    assert jobs.name(ticket) == "Slurm job 1"
    assert until(lambda: asked(jobs, ticket)) == End("crashed", f"ended as COMPLETED; see {ticket.paths.stderr}")

    SlurmJobs({}).submit(task("2"))
    assert "time" not in json.loads((slurm / "2.json").read_text())["flags"]


def test_a_waiting_job_is_recalled_and_one_at_work_only_killed(task: Any, tmp_path: Path) -> None:
    waiting = SlurmJobs({"hold": ""})
    held = waiting.submit(task("held"))
    waiting.recall(held)
    assert asked(waiting, held) == End("crashed", f"ended as CANCELLED; see {held.paths.stderr}")
    assert not (tmp_path / "told").exists()

    jobs = SlurmJobs({})
    busy = jobs.submit(task("busy", seconds=60))
    assert until((tmp_path / "told").exists)
    jobs.recall(busy)
    assert asked(jobs, busy) is None
    jobs.kill(busy)
    assert "CANCELLED" in until(lambda: asked(jobs, busy)).words
    assert busy.paths.submission_file.exists()
    jobs.forget(busy)
    assert not busy.paths.submission_file.exists()


def test_a_jobs_end_is_known_without_accounts_and_after_it_left_the_queue(
    slurm: Path, task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = SlurmJobs({})
    done, lost = jobs.submit(task("done")), jobs.submit(task("lost"))
    assert until(lambda: asked(jobs, done) and asked(jobs, lost))
    monkeypatch.setenv("SQUEUE_PARTITION", "another")
    monkeypatch.setenv("SACCT_FORMAT", "another")
    (slurm / "1.purged").touch()
    assert asked(jobs, done) == End("crashed", f"ended as COMPLETED; see {done.paths.stderr}"), "by the accounts"

    monkeypatch.setenv("STAND_IN_LACKS", "sacct")
    assert asked(jobs, lost) == End("crashed", f"ended as COMPLETED; see {lost.paths.stderr}"), "by the queue"
    assert asked(jobs, done) == End("crashed", f"is no longer in the queue; see {done.paths.stderr}")
    assert jobs.knows(done)
    monkeypatch.setenv("STAND_IN_LACKS", "sacct squeue")
    assert asked(jobs, done) is None
    assert not jobs.knows(done)


@pytest.mark.parametrize("state", ["SUSPENDED", "RESIZING", "REQUEUED", "COMPLETING", "PENDING"])
def test_a_job_that_will_go_on_has_not_ended_and_an_end_can_be_taken_back(state: str, slurm: Path, task: Any) -> None:
    jobs = SlurmJobs({"hold": ""})
    ticket = jobs.submit(task("1"))

    def becomes(word: str) -> End | None:
        (slurm / "1.json").write_text(json.dumps({"state": word, "flags": {}, "group": 0}))
        return asked(jobs, ticket)

    assert becomes(state) is None
    assert jobs.knows(ticket)
    assert jobs.waits(ticket) is (state in ("PENDING", "REQUEUED"))
    for word, kind in (("NODE_FAIL", "crashed"), ("PREEMPTED", "crashed"), ("OUT_OF_MEMORY", "oom")):
        assert becomes(word) == End(kind, f"ended as {word}; see {ticket.paths.stderr}")
        assert becomes(state) is None
    (slurm / "1.purged").touch()
    assert becomes("RUNNING") is None
    assert not jobs.knows(ticket), "accounts lag behind the queue"


def test_what_is_asked_holds_against_variables_and_the_job_in_which_the_command_runs(
    slurm: Path, tmp_path: Path, task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {"SLURM_JOB_ID": "77", "SLURM_ARRAY_JOB_ID": "76", "SLURM_RESTART_COUNT": "1", "SUBMITIT_EXECUTOR": "x"}
    where = {"SLURM_CONF": "/etc/here.conf", "SBATCH_ACCOUNT": "lab"}
    given = {"SBATCH_PARTITION": "debug", "SBATCH_TIMELIMIT": "1", "SBATCH_CPUS_PER_TASK": "1"}
    for name, value in (ours | where | given).items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    jobs = SlurmJobs({"partition": "gpu", "time": "4:00:00", "cpus_per_task": "8"})
    jobs.submit(task("1"))

    names = (*ours, *where, *given, "SRUN_CPUS_PER_TASK")
    told = json.loads(until(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text()))
    found = {name: value for name, value in told.items() if name in names}
    assert found == where | {"SLURM_JOB_ID": "1", "SRUN_CPUS_PER_TASK": "8", "SUBMITIT_EXECUTOR": "slurm"}
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ("partition=nope",),
            "Slurm would take no job with --partition=nope: error: invalid partition specified: nope",
        ),
        (("array=1-3",), "--slurm array: a job does one run, in one task; this can't be set"),
        (("ntasks=2", "partition=gpu"), "--slurm ntasks: a job does one run"),
        (("ntasks_per_node=2",), "--slurm ntasks-per-node: a job does one run"),
        (("=x",), "'=x' is no option of sbatch; give NAME=VALUE, such as time=4:00:00"),
    ],
)
def test_what_slurm_would_refuse_is_told_before_a_run_begins(
    options: tuple[str, ...], told: str, slurm: Path, make_place: Callable[[str], Place]
) -> None:
    place = make_place("local")
    place.experiment(["{method: lora, r: 2}"])
    given = [word for option in options for word in ("--slurm", option)]
    arguments = ["run", "few.yaml", "--executor", "slurm", *given]
    process = subprocess.run([sys.executable, "-m", "harness", *arguments], capture_output=True, text=True)

    assert (process.returncode, process.stdout) == (2, "")
    assert told in " ".join(process.stderr.split())
    assert "Traceback" not in process.stderr
    assert list(slurm.iterdir()) == []


def test_what_this_machine_lacks_is_no_obstacle_to_jobs_on_others(
    slurm: Path, make_place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_place("local")
    monkeypatch.setattr("harness.schedule.fitness.weights_fault", lambda name, revision: None)
    monkeypatch.setattr("harness.schedule.refusals.Devices.here", lambda: Devices(2**34))
    large = EXPERIMENT.replace("micro-llama", "llama3-8b").replace("steps: 3", "steps: 3000")
    Path("few.yaml").write_text(large % "{method: lora}")

    here = CliRunner().invoke(cli, ["run", "few.yaml"])
    assert "needs a GPU; found none" in said(here)
    there = CliRunner().invoke(cli, ["run", "few.yaml", "--executor", "slurm", "--slurm", "partition=nope"])
    assert "needs a GPU" not in said(there)
    assert "invalid partition specified: nope" in said(there)


def test_without_slurm_or_its_package_nothing_is_written(
    make_place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_place("local")
    monkeypatch.setenv("PATH", str(place.folder))
    assert "needs Slurm's commands (sbatch, srun, squeue, scancel)" in said(invoke(place, "--executor", "slurm"))
    for package in ("submitit", "ray"):
        monkeypatch.setitem(sys.modules, package, None)
    assert "pip install 'peft-harness[slurm]'" in said(invoke(place, "--executor", "slurm"))
    assert "pip install 'peft-harness[ray]'" in said(invoke(place, "--executor", "ray"))
    assert not (place.folder / "results.db").exists()
    assert not (place.folder / "home").exists()


def test_options_of_slurm_are_for_slurm(make_place: Callable[[str], Place]) -> None:
    place = make_place("local")
    assert "--slurm is for --executor slurm" in said(invoke(place, "--slurm", "time=1:00:00"))
    assert "a job of --executor slurm does one run" in said(
        invoke(place, "--executor", "slurm", "--runs-per-device", "2")
    )
