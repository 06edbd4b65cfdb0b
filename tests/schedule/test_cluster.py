"""Handing runs to a cluster, and taking them back."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.pipeline.execute import Result as Ended
from harness.schedule.cluster import executor as clusters
from harness.schedule.cluster import handover
from harness.schedule.cluster.job import End
from harness.schedule.cluster.mailbox import Mailbox
from harness.schedule.progress import Narrator
from harness.schedule.retry import Retries

from .hand import until


def test_a_soft_stop_reaches_a_job_at_work_and_takes_a_waiting_one_out_of_the_queue(
    hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, cluster, run_id, store, _ = hand
    waiting = executor.submit(run_id)
    executor.stop()
    executor.wait(0.0)
    assert cluster.recalled == [run_id]
    assert Mailbox(Path(cluster.sent[run_id].mailbox)).is_set()
    cluster.ends[run_id] = End("crashed", "ended as CANCELLED")
    monkeypatch.setattr(clusters, "LATE_SECONDS", 30.0)
    executor.wait(0.0)
    assert waiting.result == Ended(run_id, "stopped"), "at once: it had nothing to say"
    assert store.states([run_id])[run_id].status == "pending"


@pytest.mark.parametrize("told", [{"event": "step", "step": 1}, {"event": "items", "done": 1, "total": 2}])
def test_a_job_that_the_cluster_ends_softly_goes_on_in_another_but_not_for_ever_in_vain(
    told: dict[str, Any], hand: Any
) -> None:
    executor, cluster, run_id, store, _ = hand
    softly = Ended(run_id, "stopped")
    retries = Retries(pause=0.0)
    for number in range(20):
        job = executor.submit(run_id)
        mailbox = Mailbox(Path(cluster.sent[run_id].mailbox))
        mailbox.send(("event", told | ({"step": 1 + number // 3} if "step" in told and number < 9 else {})))
        mailbox.send(("done", softly))
        executor.wait(0.0)
        assert cluster.killed == [run_id] * (number + 1), "where it would be begun anew by the cluster, too"
        if job.result != softly:
            break
        assert retries.grants(job.result)
        assert Narrator({}).words({"event": "again", "result": job.result}) == (
            "the cluster ends its job; it goes on in another"
        )

    assert number == (9 if "step" in told else 2), "steps 1, 2 and 3, each as far as the jobs in vain let it get"
    assert (job.result.outcome, job.result.kind) == ("failed", "timeout")
    assert job.result.message == "3 jobs in turn were ended before the run got any further: they need more time"
    assert store.states([run_id])[run_id].kind == "timeout"


def test_what_the_cluster_refuses_while_others_are_in_hand_is_tried_again(
    hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, cluster, run_id, _, told = hand
    executor.submit(run_id)
    cluster.refuses = "sbatch failed: submit limit"
    waiting = executor.submit("c0ffee")
    assert Narrator({}).words(told[-1]) == "sbatch failed: submit limit; submitted again later"
    assert not executor.takes("another")
    monkeypatch.setattr(handover, "AGAIN_SECONDS", 0.0)
    for _ in range(5):
        executor.wait(0.0)
    Mailbox(Path(cluster.sent[run_id].mailbox)).send(("done", Ended(run_id, "complete")))
    executor.wait(0.0)
    executor.wait(0.0)
    assert waiting.result is None, "those beside others don't count"
    assert "c0ffee" not in cluster.sent
    cluster.refuses = None
    executor.wait(0.0)
    assert "c0ffee" in cluster.sent
    cluster.refuses = "sbatch failed: submit limit"
    again = executor.submit(run_id)
    executor.stop()
    executor.wait(0.0)
    executor.wait(0.0)
    assert again.result == Ended(run_id, "stopped")


def test_what_the_cluster_refuses_though_nothing_is_in_hand_stops_the_experiment(
    hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, cluster, run_id, store, _ = hand
    cluster.refuses = "sbatch failed: the account is closed"
    job = executor.submit(run_id)
    for _ in range(5):
        executor.wait(0.0)
    assert job.result is None, "it is not asked again at once"
    monkeypatch.setattr(handover, "AGAIN_SECONDS", 0.0)
    executor.wait(0.0)
    assert job.result is None
    executor.wait(0.0)

    assert job.result == Ended(run_id, "blocked", message="sbatch failed: the account is closed", halts=True)
    assert store.states([run_id])[run_id].status == "pending"
    assert list(Path(os.environ["HARNESS_HOME"], "jobs").iterdir()) == []


def test_a_database_that_jobs_cannot_reach_stops_the_experiment_and_what_waits(hand: Any) -> None:
    executor, cluster, run_id, *_ = hand
    job, waiting = executor.submit(run_id), executor.submit("c0ffee")
    box = Path(cluster.sent[run_id].mailbox)
    (box / "database").write_text("postgresql+psycopg://me:secret@127.0.0.1:1/results")
    cluster.sent[run_id]()
    executor.wait(0.0)

    assert (job.result.outcome, job.result.halts) == ("blocked", True)
    assert "127.0.0.1" in job.result.message
    assert "secret" not in job.result.message
    assert cluster.recalled == ["c0ffee"]
    cluster.ends["c0ffee"] = End("crashed", "ended as CANCELLED")
    until(lambda: executor.wait(0.1) or waiting.result)
    assert waiting.result == Ended("c0ffee", "stopped")


def test_a_full_disk_stops_the_experiment_before_a_job_is_submitted(
    hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, cluster, run_id, *_ = hand

    def full(*arguments: Any, **named: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "jobs")

    monkeypatch.setattr("harness.schedule.cluster.mailbox.tempfile.mkdtemp", full)
    result = executor.submit(run_id).result
    assert (result.outcome, result.halts) == ("blocked", True)
    assert "the disk is full" in result.message
    assert cluster.sent == {}


def test_a_command_that_is_closed_ends_its_jobs(hand: Any) -> None:
    executor, cluster, run_id, *_ = hand
    executor.submit(run_id)
    box = Path(cluster.sent[run_id].mailbox)
    assert stat.S_IMODE(box.stat().st_mode) == 0o700, "the database's password may lie in it"
    executor.close()
    assert cluster.killed == [run_id]
    assert not box.exists()
    cluster.sent[run_id]()  # one that begins yet has nothing to do
    assert not box.exists()


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
