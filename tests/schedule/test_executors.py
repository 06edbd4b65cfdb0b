"""What every executor promises, asked of each; and what only processes can do."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import psutil
import pytest
import torch

from harness.schedule.handed import Asker
from harness.schedule.local import Local
from harness.schedule.options import CLUSTERS, Options
from harness.schedule.run import run
from harness.spec.run import RunSpec
from harness.store.records import Entry
from harness.store.store import Store, open_store

from .conftest import DB, Place

TWO = ("{method: lora, r: 2}", "{method: dora, r: 2}")
LOST, KILLED = "{method: device_lost}", "{method: killed}"


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("local", "slurm", "ray")]


@pytest.fixture(params=["in-process", *SLOW])
def place(make_place: Callable[[str], Place], request: pytest.FixtureRequest) -> Place:
    return make_place(request.param)


@pytest.fixture
def local(make_place: Callable[[str], Place]) -> Place:
    return make_place("local")


def stopping(place: Place) -> Callable[[RunSpec, dict[str, Any]], None]:
    """Sends this process a SIGTERM at the first training step that it is told of."""

    def stop(run: RunSpec, event: dict[str, Any]) -> None:
        if event["event"] == "step":
            place.listeners.clear()
            os.kill(os.getpid(), signal.SIGTERM)

    return stop


def test_runs_are_done_in_order_by_one_worker_and_told_of_from_begin_to_end(place: Place) -> None:
    done = place.run(*TWO)

    assert done.outcomes == [("lora", "complete"), ("dora", "complete")]
    assert done.outcome.exit_code == 0
    assert [run.adapter.method for run, _ in done.told] == sorted(
        (run.adapter.method for run, _ in done.told), reverse=True
    )
    kinds = [event["event"] for event in done.events("lora")]
    assert (kinds[0], kinds[-1], kinds.count("begin"), kinds.count("end")) == ("begin", "end", 1, 1)
    assert {"stage", "step", "task"} <= set(kinds)
    assert done.events("lora")[-1]["result"].outcome == "complete"
    workers = place.workers()
    if place.executor in ("in-process", "local"):
        assert workers["lora"] == workers["dora"]
    assert (f":{os.getpid()}:" in workers["lora"]) == (place.executor == "in-process")


def test_a_soft_stop_ends_the_run_in_hand_and_the_same_command_goes_on(place: Place) -> None:
    longer = ["train.steps=100"] if place.executor in CLUSTERS else []  # a job looks twice a second
    place.listeners.append(stopping(place))
    first = place.run(*TWO, changes=longer)
    assert (first.outcomes, first.outcome.exit_code) == ([("lora", "stopped")], 3)

    again = place.run(*TWO, changes=longer)
    assert (again.outcomes, again.outcome.exit_code) == ([("lora", "complete"), ("dora", "complete")], 0)


def test_after_a_device_error_no_run_is_done_in_the_same_process(place: Place) -> None:
    done = place.run(LOST, TWO[0])

    assert done.outcomes[0] == ("device_lost", "failed")
    assert "CUDA error" in str(done.outcome.results[0].message)
    workers = place.workers()
    if place.executor != "in-process":
        assert done.outcomes[1] == ("lora", "complete")
        assert workers["lora"] != workers["device_lost"]
    else:
        assert len(done.outcomes) == 1
        assert "lora" not in workers


def test_fail_fast_begins_no_run_after_a_failure(place: Place) -> None:
    assert place.run(LOST, TWO[0], fail_fast=True).outcomes == [("device_lost", "failed")]


def test_a_run_reads_what_is_recorded_of_it_and_another_runs_specification_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    specify = Store.specify

    def swap(store: Store, entries: Sequence[Entry]) -> None:
        specify(store, [replace(entry, spec=entry.spec | {"seed": 99}) for entry in entries])

    monkeypatch.setattr(Store, "specify", swap)
    (result,) = place.run(TWO[0]).outcome.results

    assert (result.outcome, result.kind) == ("failed", "internal")
    assert "is another run's" in str(result.message)


def test_runs_that_another_command_forgets_before_their_turn_are_asked_for_again(place: Place) -> None:
    """A second command with other adapters, when no run of the first is being done."""
    forgot: list[RunSpec] = []

    def forget(run: RunSpec, event: dict[str, Any]) -> None:
        if event["event"] == "begin" and len(forgot) < 2:
            forgot.append(run)
            place.register("{method: none}")

    place.listeners.append(forget)
    done = place.run(*TWO)

    assert sorted(done.outcomes) == [("dora", "complete"), ("lora", "complete")]
    assert done.outcome.exit_code == 0
    (said,) = [event["result"] for event in done.events("lora") if event["event"] == "again"]
    assert said.message == "its experiment does not ask for it any more"
    with place.store() as store:
        assert {run.method: run.status for run in store.runs()} == {"lora": "complete", "dora": "complete"}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "slurm", "ray"])
def test_executors_leave_the_same_bits_with_as_many_threads(executor: str, make_place: Callable[[str], Place]) -> None:
    here = make_place("in-process")
    torch.set_num_threads(2)
    here.run(*TWO)
    assert torch.get_num_threads() == 2, "the caller's threads are as they were"
    torch.set_num_threads(1)
    in_process = here.recorded()
    elsewhere = make_place(executor)
    elsewhere.run(*TWO, workers=2)

    assert len(in_process) == 2
    assert elsewhere.recorded() == in_process


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_run_only(local: Place) -> None:
    done = local.run(TWO[0], KILLED, TWO[1])

    assert sorted(done.outcomes) == [("dora", "complete"), ("killed", "failed"), ("lora", "complete")]
    (failed,) = [result for result in done.outcome.results if result.outcome == "failed"]
    assert failed.kind == "crashed"
    assert "killed by signal 9" in str(failed.message)
    workers = local.workers()
    assert workers["lora"] != workers["dora"], "a new one took the place of the one that died"
    with local.store() as store:
        tries = store.attempts(failed.run_id)
    assert [each.worker for each in tries] == [workers["lora"], workers["dora"]]
    assert [(each.outcome, each.kind) for each in tries] == [("failed", "crashed")] * 2


@pytest.mark.slow
@pytest.mark.parametrize("end", ["cancel", "abort"])
def test_one_job_can_be_ended_softly_or_at_once_and_the_other_goes_on(local: Place, end: str) -> None:
    """The same through the protocol itself, without the loop."""
    first, second = [run.run_id for run in local.register(*TWO, changes=("train.steps=100",))]
    steps: list[str] = []
    with open_store(DB) as store:
        executor = Local(store, Asker("few", "paper"), lambda run_id, event: steps.append(run_id), workers=2)
        try:
            jobs = {run_id: executor.submit(run_id) for run_id in (first, second)}
            assert not executor.takes(first), "both slots are taken"
            while first not in steps:
                executor.wait(1.0)
            if end == "cancel":
                jobs[first].cancel()
            else:
                jobs[first].abort("timeout", "too slow")
            while any(job.result is None for job in jobs.values()):
                executor.wait(1.0)
            assert executor.takes(first)
        finally:
            executor.close()
        states = store.states([first, second])

    results = {run_id: job.result for run_id, job in jobs.items()}
    assert results[first] is not None
    assert results[second] is not None
    expected = {"cancel": ("stopped", None, "pending"), "abort": ("failed", "timeout", "failed")}[end]
    assert (results[first].outcome, results[first].kind, states[first].status) == expected
    assert results[second].outcome == states[second].status == "complete"


@pytest.mark.slow
def test_a_run_whose_job_slurm_is_about_to_end_goes_on_in_another_to_the_same_bits(
    make_place: Callable[[str], Place],
) -> None:
    here = make_place("in-process")
    longer = ["train.steps=200"]
    run(here.experiment(TWO[:1], longer), DB, Options("in-process"))
    undisturbed = here.recorded()
    place = make_place("slurm")
    told: list[dict[str, Any]] = []

    def announce(spec: RunSpec, event: dict[str, Any]) -> None:
        told.append(event)
        if [each["event"] for each in told].count("step") == 1 and event["event"] == "step":
            command = [sys.executable, "-u", "-m", "submitit.core._submit"]
            (job,) = [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"][:4] == command]
            job.send_signal(signal.SIGUSR2)

    outcome = run(place.experiment(TWO[:1], longer), DB, Options("slurm"), announce)

    assert outcome.exit_code == 0
    kinds = [event["event"] for event in told]
    assert (kinds.count("queued"), kinds.count("again"), kinds[-1]) == (2, 1, "end")
    assert place.recorded() == undisturbed
    with place.store() as store:
        (run_id,) = undisturbed
        assert len({attempt.worker for attempt in store.attempts(run_id)}) == 2
