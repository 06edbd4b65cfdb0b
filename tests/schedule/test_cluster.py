"""Jobs on a cluster of which a test decides how they end: with a word, without one, too early, or not at all."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RunError
from harness.pipeline.execute import Result as Ended
from harness.pipeline.workers import worker_name
from harness.schedule.cluster import executor as clusters
from harness.schedule.cluster import handover
from harness.schedule.cluster.errand import Errand
from harness.schedule.cluster.executor import Cluster
from harness.schedule.cluster.job import End
from harness.schedule.cluster.mailbox import Mailbox, remove_old
from harness.schedule.handed import Asker
from harness.schedule.progress import Narrator
from harness.schedule.retry import Retries
from harness.store.records import Claim
from harness.store.store import Store, open_store

from .conftest import DB, Place

FEW = Asker("few", "paper")


def until(happens: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := happens()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


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


def test_half_a_line_that_a_node_left_as_it_died_costs_no_other_message(tmp_path: Path) -> None:
    (tmp_path / "told.jsonl").write_bytes(b'["event", {"event": "st' + bytes(3))
    again, command = Mailbox(tmp_path), Mailbox(tmp_path)
    again.send(("claimed", Claim("a", 4, 2)))
    assert command.news() == [("claimed", Claim("a", 4, 2))]


def test_mailboxes_of_dead_commands_are_swept_once_their_jobs_are_long_done(tmp_path: Path) -> None:
    done, lately, waiting = (Mailbox.new(tmp_path, name, DB) for name in ("done", "lately", "waiting"))
    for box in (done, lately):
        box.send(("done", Ended("a", "complete")))
    other_version = Mailbox.new(tmp_path, "other", DB)
    (other_version.folder / "told.jsonl").write_text('["done", {"run_id": "a", "outcome": "complete", "new": 1}]\n')
    for box in (done, waiting, other_version):
        os.utime(box.folder / "told.jsonl", (0, 0))
    remove_old(tmp_path)
    assert {box.folder for box in (lately, waiting, other_version)} == set(tmp_path.iterdir())
    lately.remove()
    lately.ask_to_stop()  # of one that is gone


class Hand:
    """A cluster of which a test decides how its jobs end. sent: the errands; killed, recalled: run ids.

    tells: whether it says of a job that it waits, runs or has ended; waiting: run ids of jobs in the queue.
    """

    places = 2

    def __init__(self) -> None:
        self.sent: dict[str, Errand] = {}
        self.ends: dict[str, End] = {}
        self.killed: list[str] = []
        self.recalled: list[str] = []
        self.refuses: str | None = None
        self.tells = True
        self.waiting: set[str] = set()

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

    def knows(self, ticket: str) -> bool:
        return self.tells

    def waits(self, ticket: str) -> bool:
        return ticket in self.waiting

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
