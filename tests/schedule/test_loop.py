"""Which run is begun next and when none is any more, whatever does the runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from harness.errors import FailureKind
from harness.pipeline.execute import Result
from harness.schedule.in_process import DoneJob
from harness.schedule.loop import Loop
from harness.schedule.retry import Retries
from harness.spec.run import AdapterRef, ModelRef, PromptRef, RunSpec


def run_of(run_id: str, train_id: str | None = None) -> RunSpec:
    parts = {"model": ModelRef(name="micro-llama"), "adapter": AdapterRef(method="lora")}
    prompt = PromptRef(name="none", train="", score="")
    return RunSpec(**parts, prompt=prompt, run_id=run_id, train_id=train_id or run_id)


KINDS: dict[str, FailureKind] = {"failed": "internal", "crashed": "crashed"}


class Scripted:
    """An executor with so many places, whose jobs end when it is waited for, the oldest first, as the script says."""

    def __init__(self, places: int, outcomes: dict[str, str] | None = None, stop_at: str | None = None) -> None:
        self.places, self.outcomes, self.stop_at = places, outcomes or {}, stop_at
        self.jobs: list[DoneJob] = []
        self.begun: list[str] = []
        self.most_at_once = 0
        self.stopping = False

    def check(self, run_ids: Sequence[str]) -> dict[str, str]:
        return {}

    def takes(self, run_id: str) -> bool:
        return len(self.jobs) < self.places

    def submit(self, run_id: str) -> DoneJob:
        assert self.takes(run_id)
        self.jobs.append(DoneJob(run_id, None))
        self.begun.append(run_id)
        self.most_at_once = max(self.most_at_once, len(self.jobs))
        self.stopping |= run_id == self.stop_at
        return self.jobs[-1]

    def wait(self, seconds: float) -> None:
        if self.jobs:
            job = self.jobs.pop(0)
            outcome = self.outcomes.get(job.run_id, "complete")
            kind: FailureKind | None = KINDS.get(outcome)
            halts = outcome == "halts"
            job.result = Result(job.run_id, "failed" if kind else "blocked" if halts else outcome, kind, halts=halts)

    def stop(self) -> None:
        self.stopping = True

    def close(self) -> None: ...


def done(executor: Scripted, runs: Sequence[RunSpec], **how: Any) -> tuple[list[str], list[tuple[str, str]]]:
    """The outcomes in order, and the events."""
    told: list[tuple[str, str]] = []
    loop = Loop(executor, runs, lambda run, event: told.append((run.run_id, event["event"])), **how)
    return [f"{result.run_id} {result.outcome}" for result in loop.work()], told


def test_runs_are_begun_in_order_and_told_of_from_begin_to_end() -> None:
    results, told = done(Scripted(1), [run_of("a"), run_of("b")])

    assert results == ["a complete", "b complete"]
    assert told == [("a", "begin"), ("a", "end"), ("b", "begin"), ("b", "end")]


def test_every_place_is_used_and_no_more() -> None:
    executor = Scripted(3)
    results, _ = done(executor, [run_of(name) for name in "abcdefg"])

    assert (executor.most_at_once, executor.begun, len(results)) == (3, list("abcdefg"), 7)


def test_of_runs_that_share_an_adapter_one_trains_while_others_wait_for_it() -> None:
    executor = Scripted(2)
    done(executor, [run_of("a", "x"), run_of("b", "x"), run_of("c", "y")])

    assert executor.begun == ["a", "c", "b"]


def test_runs_that_share_an_adapter_are_never_in_hand_together() -> None:
    executor = Scripted(2)
    results, _ = done(executor, [run_of("a", "x"), run_of("b", "x")])

    assert (executor.most_at_once, len(results)) == (1, 2)


def test_a_failure_costs_one_run_only() -> None:
    assert done(Scripted(1, {"a": "failed"}), [run_of("a"), run_of("b")])[0] == ["a failed", "b complete"]


def test_fail_fast_begins_no_new_run_and_ends_those_in_hand() -> None:
    executor = Scripted(2, {"a": "failed"})
    results, _ = done(executor, [run_of(name) for name in "abcd"], fail_fast=True)

    assert results == ["a failed", "b complete"]


def test_an_executor_that_stops_is_given_no_more_and_what_is_in_hand_is_heard_to_its_end() -> None:
    executor = Scripted(2, {"b": "stopped"}, stop_at="b")

    assert done(executor, [run_of(name) for name in "abcd"])[0] == ["a complete", "b stopped"]


def test_nothing_to_do_is_done_at_once() -> None:
    assert done(Scripted(1), [])[0] == []


def test_a_run_whose_worker_died_is_tried_once_more_after_the_others() -> None:
    executor = Scripted(1, {"a": "crashed", "b": "failed"})
    results, told = done(executor, [run_of("a"), run_of("b"), run_of("c")], retries=Retries(pause=0.0))

    assert executor.begun == ["a", "b", "c", "a"]
    assert results == ["b failed", "c complete", "a failed"]
    assert [event for run_id, event in told if run_id == "a"] == ["begin", "again", "begin", "end"]


def test_a_pause_before_the_next_try_is_kept_where_nothing_else_is_to_be_done() -> None:
    begun = time.monotonic()
    assert done(Scripted(1, {"a": "crashed"}), [run_of("a")], retries=Retries(pause=0.2))[0] == ["a failed"]

    assert time.monotonic() - begun >= 0.2


def test_nothing_is_tried_again_once_the_executor_stops() -> None:
    executor = Scripted(1, {"a": "crashed"}, stop_at="a")

    assert done(executor, [run_of("a"), run_of("b")])[0] == ["a failed"]


def test_where_no_run_can_go_on_none_is_begun() -> None:
    assert done(Scripted(1, {"a": "halts"}), [run_of("a"), run_of("b")])[0] == ["a blocked"]


def test_what_would_be_tried_again_is_told_where_no_run_is_begun_any_more() -> None:
    executor = Scripted(2, {"a": "halts", "b": "crashed"})

    assert done(executor, [run_of("a"), run_of("b")])[0] == ["a blocked", "b failed"]
