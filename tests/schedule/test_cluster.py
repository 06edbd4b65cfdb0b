"""What is particular to runs on a cluster: what Slurm is given and tells, and jobs that end without a word."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import cli
from harness.errors import RunError
from harness.pipeline.execute import Result as Ended
from harness.pipeline.workers import worker_name
from harness.schedule.cluster import executor as clusters
from harness.schedule.cluster.errand import Errand
from harness.schedule.cluster.executor import Cluster
from harness.schedule.cluster.job import End
from harness.schedule.cluster.mailbox import Mailbox
from harness.schedule.cluster.slurm import SlurmJobs
from harness.schedule.devices import Devices
from harness.schedule.handed import Asker
from harness.schedule.progress import Narrator
from harness.schedule.retry import Retries
from harness.store.records import Claim
from harness.store.store import Store, open_store

from .conftest import DB, EXPERIMENT, Place, with_slurm

FEW = Asker("few", "paper")


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
        with open(self.file, "w") as file:
            json.dump({name: os.environ.get(name) for name in ("SLURM_JOB_ID", "HARNESS_HOME")}, file)
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


def until(happens: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := happens()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def asked(jobs: SlurmJobs, ticket: Any) -> End | None:
    """The end of a job, asked of Slurm now."""
    jobs._asked = 0.0
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
    assert told == {"SLURM_JOB_ID": "1", "HARNESS_HOME": str(tmp_path / "home")}
    flags = json.loads((slurm / "1.json").read_text())["flags"]
    given = {"partition": "gpu", "gpus-per-node": "1", "time": "4:00:00", "job-name": "harness-1c0ffee00000"}
    assert given.items() <= flags.items()
    assert {"exclusive", "signal"} <= set(flags)
    assert "wckey" not in flags
    assert jobs.name(ticket) == "Slurm job 1"
    assert stat.S_IMODE((tmp_path / "home" / "slurm").stat().st_mode) == 0o700, "a database's password may lie there"
    assert until(lambda: asked(jobs, ticket)) == End("crashed", f"ended as COMPLETED; see {ticket.paths.stderr}")

    SlurmJobs({}).submit(task("2"))
    assert "time" not in json.loads((slurm / "2.json").read_text())["flags"]


def test_a_waiting_job_is_recalled_and_one_at_work_only_killed(task: Any, tmp_path: Path) -> None:
    waiting = SlurmJobs({"hold": ""})
    held = waiting.submit(task("held"))
    waiting.recall(held)
    assert asked(waiting, held) == End("crashed", f"ended as CANCELLED by 0; see {held.paths.stderr}")
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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ("partition=nope",),
            "Slurm would take no job with --partition=nope: error: invalid partition specified: nope",
        ),
        (("array=1-3",), "--slurm array: a job does one run, in one task; this can't be set"),
        (("ntasks=2", "partition=gpu"), "--slurm ntasks: a job does one run"),
        (("=x",), "'=x' is no option of sbatch; give NAME=VALUE, such as time=4:00:00"),
    ],
)
def test_what_slurm_would_refuse_is_told_before_a_run_begins(
    options: tuple[str, ...], told: str, slurm: Path, make_place: Callable[[str], Place]
) -> None:
    place = make_place("local")
    result = invoke(place, "--executor", "slurm", *[word for option in options for word in ("--slurm", option)])

    assert result.exit_code in (1, 2)
    assert told in said(result)
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
    assert "needs Slurm's commands (sbatch, srun, sacct, scancel)" in said(invoke(place, "--executor", "slurm"))
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


def test_a_mailbox_gives_whole_messages_once_and_hands_a_stop_on(tmp_path: Path) -> None:
    job, command = Mailbox(tmp_path), Mailbox(tmp_path)
    assert command.news() == []
    job.send(("claimed", Claim("a", 3, 1)))
    job.send(("event", {"event": "step", "loss": 0.5}))
    with open(tmp_path / "told.jsonl", "a") as file:
        file.write('["event", {"ev')
    assert command.news() == [("claimed", Claim("a", 3, 1)), ("event", {"event": "step", "loss": 0.5})]
    with open(tmp_path / "told.jsonl", "a") as file:
        file.write('ent": "é"}]\n')
    job.send(("done", Ended("a", "failed", "oom", "short")))
    assert command.news() == [("event", {"event": "é"}), ("done", Ended("a", "failed", "oom", "short"))]
    assert command.news() == []
    assert not job.is_set()
    command.ask_to_stop()
    assert job.is_set()


class Hand:
    """A cluster of which a test decides how its jobs end. sent: the errands; killed, recalled: run ids."""

    places = 2

    def __init__(self) -> None:
        self.sent: dict[str, Errand] = {}
        self.ends: dict[str, End] = {}
        self.killed: list[str] = []
        self.recalled: list[str] = []
        self.refuses: str | None = None

    def fault(self) -> None: ...

    def submit(self, errand: Errand) -> str:
        if self.refuses:
            raise RunError("config", self.refuses)
        self.sent[errand.run_id] = errand
        return errand.run_id

    def name(self, ticket: str) -> str:
        return f"job {ticket}"

    def end(self, ticket: str) -> End | None:
        return self.ends.get(ticket)

    def recall(self, ticket: str) -> None:
        self.recalled.append(ticket)

    def kill(self, ticket: str) -> None:
        self.killed.append(ticket)
        self.ends[ticket] = End("crashed", "was killed")

    def forget(self, ticket: str) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def hand(make_place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A cluster in a test's hand, with one run, in a real database."""
    place = make_place("local")
    (run,) = place.register("{method: lora, r: 2}")
    monkeypatch.setattr(clusters, "LATE_SECONDS", 0.2)
    with open_store(DB) as store:
        told: list[dict[str, Any]] = []
        cluster = Hand()
        yield Cluster(store, FEW, lambda run_id, event: told.append(event), cluster), cluster, run.run_id, store, told


def begun(store: Store, run_id: str, errand: Errand) -> Mailbox:
    """As a job that has claimed its run."""
    claim = store.claim(run_id, worker_name(), "cpu", store.states([run_id]).get(run_id), {})
    assert claim is not None
    mailbox = Mailbox(Path(errand.mailbox))
    mailbox.send(("claimed", claim))
    return mailbox


def test_a_job_that_ends_without_a_word_has_failed_and_that_is_recorded(hand: Any) -> None:
    executor, cluster, run_id, store, told = hand
    job = executor.submit(run_id)
    assert told == [{"event": "queued", "job": f"job {run_id}"}]
    begun(store, run_id, cluster.sent[run_id])
    cluster.ends[run_id] = End("oom", "ended as OUT_OF_MEMORY")
    until(lambda: executor.wait(0.1) or job.result)

    assert job.result == Ended(run_id, "failed", "oom", f"job {run_id} ended as OUT_OF_MEMORY")
    state = store.states([run_id])[run_id]
    assert (state.status, state.kind, state.error) == ("failed", "oom", f"job {run_id} ended as OUT_OF_MEMORY")
    assert not Path(cluster.sent[run_id].mailbox).exists()
    assert executor.takes(run_id)


def test_what_a_job_says_last_counts_though_it_is_seen_after_its_end(hand: Any) -> None:
    executor, cluster, run_id, store, _ = hand
    job = executor.submit(run_id)
    mailbox = begun(store, run_id, cluster.sent[run_id])
    cluster.ends[run_id] = End("crashed", "ended as COMPLETED")
    executor.wait(0.0)
    assert job.result is None
    mailbox.send(("done", Ended(run_id, "complete")))
    executor.wait(0.0)

    assert job.result == Ended(run_id, "complete")


def test_a_soft_stop_reaches_a_job_at_work_and_takes_a_waiting_one_out_of_the_queue(hand: Any) -> None:
    executor, cluster, run_id, store, _ = hand
    waiting = executor.submit(run_id)
    executor.stop()
    executor.wait(0.0)
    assert cluster.recalled == [run_id]
    assert Mailbox(Path(cluster.sent[run_id].mailbox)).is_set()
    cluster.ends[run_id] = End("crashed", "ended as CANCELLED")
    until(lambda: executor.wait(0.1) or waiting.result)
    assert waiting.result == Ended(run_id, "stopped")
    assert store.states([run_id])[run_id].status == "pending"


def test_a_run_that_is_out_of_time_is_killed_and_called_so_and_time_in_the_queue_does_not_count(hand: Any) -> None:
    executor, cluster, run_id, store, _ = hand
    job = executor.submit(run_id)
    assert job.begun == float("inf")
    begun(store, run_id, cluster.sent[run_id])
    executor.wait(0.0)
    assert job.begun <= time.monotonic()
    job.abort("timeout", "took longer than 1 s")
    until(lambda: executor.wait(0.1) or job.result)

    assert cluster.killed == [run_id]
    assert job.result == Ended(run_id, "failed", "timeout", "took longer than 1 s")
    assert store.states([run_id])[run_id].kind == "timeout"


def test_a_job_that_the_cluster_ends_softly_goes_on_in_another_but_not_for_ever_in_vain(hand: Any) -> None:
    executor, cluster, run_id, *_ = hand
    softly = Ended(run_id, "stopped")
    retries = Retries(pause=0.0)
    for number in range(5):
        job = executor.submit(run_id)
        mailbox = Mailbox(Path(cluster.sent[run_id].mailbox))
        if number == 0:
            mailbox.send(("event", {"event": "step", "step": 1}))
        mailbox.send(("done", softly))
        executor.wait(0.0)
        executor.wait(0.0)
        if job.result != softly:
            break
        assert retries.grants(job.result)
        assert Narrator({}).words({"event": "again", "result": job.result}) == (
            "the cluster ends its job; it goes on in another"
        )

    assert number == 3
    assert (job.result.outcome, job.result.kind) == ("failed", "timeout")
    assert job.result.message == "3 jobs in turn were ended before they had done a step: they need more time"


def test_a_job_of_which_neither_cluster_nor_database_hears_is_given_up(
    hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, cluster, run_id, store, _ = hand
    monkeypatch.setattr(clusters, "SILENT_SECONDS", 0.0)
    job = executor.submit(run_id)
    begun(store, run_id, cluster.sent[run_id])
    executor.wait(0.0)
    assert job.result is None, "its worker, which is this process, lives"
    monkeypatch.setattr(clusters, "is_gone", lambda state: True)
    executor.wait(0.0)

    assert job.result.message == f"job {run_id} has not been heard of for minutes"
    assert cluster.killed == [run_id]
    assert store.states([run_id])[run_id].kind == "crashed"


def test_what_the_cluster_refuses_fails_the_run_alone(hand: Any) -> None:
    executor, cluster, run_id, *_ = hand
    cluster.refuses = "sbatch failed: queue is full"
    assert executor.submit(run_id).result == Ended(run_id, "failed", "config", "sbatch failed: queue is full")
    assert list(Path(os.environ["HARNESS_HOME"], "jobs").iterdir()) == []


def test_a_command_that_is_closed_ends_its_jobs(hand: Any) -> None:
    executor, cluster, run_id, *_ = hand
    executor.submit(run_id)
    executor.close()
    assert cluster.killed == [run_id]


def test_an_errand_refuses_a_sqlite_database_of_another_machine_and_does_nothing_once_it_is_stopped(hand: Any) -> None:
    executor, cluster, run_id, store, _ = hand
    executor.submit(run_id)
    errand = cluster.sent[run_id]
    mailbox = Mailbox(Path(errand.mailbox))
    replace(errand, host="login1")()
    ((_, refused),) = mailbox.news()
    assert (refused.outcome, refused.halts) == ("blocked", True)
    assert "results.db is SQLite's, which several machines can't write to" in refused.message
    assert "use a PostgreSQL server (--db postgresql+psycopg://...)" in refused.message

    mailbox.ask_to_stop()
    errand()
    assert mailbox.news() == [("done", Ended(run_id, "stopped"))]
    assert store.states([run_id])[run_id].attempts == 0
