"""How a run ends whose job ends with a word, without one, too late or not at all, or is begun anew."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from harness.pipeline.execute import Result as Ended
from harness.schedule.cluster import executor as clusters
from harness.schedule.cluster.job import End
from harness.schedule.cluster.mailbox import Mailbox

from .conftest import Place
from .hand import begun, until


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


def test_a_run_that_is_out_of_time_has_failed_though_its_job_still_ends_softly(hand: Any) -> None:
    executor, cluster, run_id, store, _ = hand
    job = executor.submit(run_id)
    mailbox = begun(store, run_id, cluster.sent[run_id])
    executor.wait(0.0)
    job.abort("timeout", "took longer than 1 s")
    store.release(job.claim, {})
    mailbox.send(("done", Ended(run_id, "stopped")))
    executor.wait(0.0)

    assert job.result == Ended(run_id, "failed", "timeout", "took longer than 1 s")
    state = store.states([run_id])[run_id]
    assert (state.status, state.kind, state.error) == ("failed", "timeout", "took longer than 1 s")


def test_a_job_of_which_neither_cluster_nor_database_hears_is_given_up(
    hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, cluster, run_id, store, _ = hand
    monkeypatch.setattr(clusters, "SILENT_SECONDS", 0.0)
    cluster.tells = False
    job = executor.submit(run_id)
    begun(store, run_id, cluster.sent[run_id])
    executor.wait(0.0)
    assert job.result is None, "its worker, which is this process, lives"
    monkeypatch.setattr(clusters, "is_gone", lambda state: True)
    executor.wait(0.0)

    assert job.result.message == f"job {run_id} has not been heard of for minutes"
    assert cluster.killed == [run_id]
    assert store.states([run_id])[run_id].kind == "crashed"


def test_a_job_that_the_cluster_begins_anew_is_left_to_wait_and_to_say_how_it_ends(
    hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, cluster, run_id, store, _ = hand
    monkeypatch.setattr(clusters, "SILENT_SECONDS", 0.0)
    job = executor.submit(run_id)
    mailbox = begun(store, run_id, cluster.sent[run_id])
    monkeypatch.setattr(clusters, "is_gone", lambda state: True)  # its first process is dead, the next one waits
    for _ in range(3):
        cluster.ends[run_id] = End("crashed", "ended as NODE_FAIL")
        executor.wait(0.0)
        del cluster.ends[run_id]
        executor.wait(0.0)
        time.sleep(0.1)
    assert (job.result, cluster.killed) == (None, [])
    mailbox.send(("done", Ended(run_id, "complete")))
    executor.wait(0.0)
    assert job.result == Ended(run_id, "complete")


def test_a_job_that_is_begun_anew_is_not_out_of_time_while_it_waits_and_a_stop_takes_it_out_of_the_queue(
    hand: Any,
) -> None:
    executor, cluster, run_id, store, _ = hand
    job = executor.submit(run_id)
    begun(store, run_id, cluster.sent[run_id])
    executor.wait(0.0)
    cluster.waiting.add(run_id)
    job.abort("timeout", "took longer than 1 s")
    assert (job.aborted, job.begun, cluster.killed) == (None, float("inf"), [])

    executor.stop()
    executor.wait(0.0)
    assert cluster.recalled == [run_id]
    cluster.ends[run_id] = End("crashed", "ended as CANCELLED")
    executor.wait(0.0)
    assert job.result == Ended(run_id, "stopped")
    assert store.states([run_id])[run_id].status == "pending"


@pytest.mark.parametrize("told", ["stopped", None])
def test_a_run_that_another_command_forgot_ends_like_any_other(told: str | None, hand: Any) -> None:
    executor, cluster, run_id, store, _ = hand
    job, other = executor.submit(run_id), executor.submit("c0ffee")
    Place(Path.cwd(), "local").register("{method: dora, r: 2}")
    assert store.states([run_id]) == {}
    if told:
        Mailbox(Path(cluster.sent[run_id].mailbox)).send(("done", Ended(run_id, told)))
    else:
        cluster.ends[run_id] = End("crashed", "ended as FAILED")
    until(lambda: executor.wait(0.1) or job.result)

    assert job.result.outcome == (told or "failed")
    assert other.result is None


def test_a_job_that_dies_before_it_took_its_run_up_is_on_record(hand: Any) -> None:
    executor, cluster, run_id, store, _ = hand
    job = executor.submit(run_id)
    cluster.ends[run_id] = End("crashed", "ended as FAILED")
    until(lambda: executor.wait(0.1) or job.result)

    assert job.result == Ended(run_id, "failed", "crashed", f"job {run_id} ended as FAILED")
    (attempt,) = store.attempts(run_id)
    assert (attempt.outcome, attempt.kind, attempt.message) == ("failed", "crashed", f"job {run_id} ended as FAILED")
    assert store.states([run_id])[run_id].status == "failed"


@pytest.mark.parametrize("end", ["complete", "failed", "stopped"])
def test_a_run_ends_as_is_on_record_though_its_jobs_last_word_was_lost(end: str, hand: Any) -> None:
    executor, cluster, run_id, store, _ = hand
    job = executor.submit(run_id)
    begun(store, run_id, cluster.sent[run_id])
    executor.wait(0.0)
    told = {
        "complete": (lambda: store.finish(job.claim, {}), Ended(run_id, "complete")),
        "failed": (
            lambda: store.fail(job.claim, "diverged", "the loss is nan", "", {}),
            Ended(run_id, "failed", "diverged", "the loss is nan"),
        ),
        "stopped": (lambda: store.release(job.claim, {}), Ended(run_id, "stopped")),
    }
    record, expected = told[end]
    record()
    before = store.attempts(run_id)
    cluster.ends[run_id] = End("crashed", "ended as COMPLETED")
    until(lambda: executor.wait(0.1) or job.result)

    assert job.result == expected
    assert store.attempts(run_id) == before
