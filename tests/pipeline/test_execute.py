"""How a run ends, whatever happened in it. Training and scoring are stand-ins: they need torch."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from harness.errors import NotFoundError, PrerequisiteError, RunError, StoreError
from harness.pipeline import execute as module
from harness.pipeline.execute import Result, Work, execute
from harness.pipeline.sole import sole
from harness.store.claims import ClaimLost
from harness.store.records import RunState, Score, TaskResult, TrainResult

from .conftest import Small


class Stopped(Exception):
    """What training raises when it was asked to stop."""


class Bench:
    """Counts how often the base model was let go of."""

    cleared = 0

    def clear(self) -> None:
        self.cleared += 1

    def verify(self) -> None:
        pass

    def blame(self, error: BaseException) -> None:
        pass


@pytest.fixture
def work(small: Small, monkeypatch: pytest.MonkeyPatch) -> Work:
    training: Any = ModuleType("harness.train.training")
    training.Stopped = Stopped
    monkeypatch.setitem(sys.modules, "harness.train.training", training)
    monkeypatch.setattr(module, "provenance", lambda: {"packages": {}})
    (run,) = small.runs()
    return Work(run, small.claim(run), small.store, Bench(), lambda event: None, lambda: False)  # type: ignore[arg-type]


def doing(monkeypatch: pytest.MonkeyPatch, what: Any) -> None:
    monkeypatch.setattr(module, "_train_and_score", what)


def failing(error: BaseException) -> Any:
    def fail(work: Work) -> None:
        raise error

    return fail


def state(work: Work) -> RunState:
    return work.store.states([work.run.run_id])[work.run.run_id]


def test_a_run_that_was_done_is_complete(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    doing(monkeypatch, lambda work: None)

    assert execute(work).outcome == "complete"
    assert state(work).status == "complete"
    assert work.store.attempts(work.run.run_id)[0].provenance == {"packages": {}}


def test_a_run_that_was_stopped_waits(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    doing(monkeypatch, failing(Stopped()))

    assert execute(work).outcome == "stopped"
    assert state(work).status == "pending"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (RunError("diverged", "the loss is nan"), "diverged", "the loss is nan"),
        (NotFoundError("no method x"), "config", "no method x"),
        (MemoryError("no more"), "oom", "MemoryError: no more"),
        (ValueError("odd"), "internal", "ValueError: odd"),
    ],
)
def test_a_failure_is_recorded_with_its_kind(
    work: Work, error: Exception, kind: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    doing(monkeypatch, failing(error))

    assert execute(work) == Result(work.run.run_id, "failed", kind, message)
    assert (state(work).status, state(work).kind, state(work).error) == ("failed", kind, message)


@pytest.mark.parametrize(
    ("error", "message", "halts"),
    [
        (PrerequisiteError("x.json is not there"), "x.json is not there", False),
        (StoreError("x.db: another process holds it"), "x.db: another process holds it", True),
        (OSError(28, "No space left on device", "x.bin"), "x.bin: the disk is full", True),
        (OSError(5, "Input/output error", "x.bin"), "x.bin: Input/output error", True),
    ],
)
def test_a_run_that_lacks_something_waits_and_says_what(
    work: Work, error: Exception, message: str, halts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    doing(monkeypatch, failing(error))

    result = execute(work)
    assert (result.outcome, result.halts) == ("blocked", halts)
    assert str(result.message).startswith(message)
    assert (state(work).status, state(work).error) == ("pending", result.message)


@pytest.mark.parametrize("error", [None, Stopped(), ValueError("odd")], ids=["finishes", "stops", "fails"])
def test_a_worker_that_lost_its_run_leaves_it_to_the_other(
    work: Work, error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(work: Work) -> None:
        assert work.store.claim(work.run.run_id, "heir:2:2", "cpu", state(work)) is not None
        if error:
            raise error

    doing(monkeypatch, lose)

    assert execute(work).outcome == "lost"
    assert (state(work).status, state(work).worker) == ("running", "heir:2:2")
    assert work.bench.cleared >= 1  # type: ignore[attr-defined]


def test_an_interrupted_run_is_released(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    doing(monkeypatch, failing(KeyboardInterrupt()))

    with pytest.raises(KeyboardInterrupt):
        execute(work)
    assert state(work).status == "pending"


def test_what_a_worker_brings_after_it_lost_its_run_is_kept_apart(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    score = TaskResult("llm_adapters_boolq", "1", "f", (Score("accuracy", 0.5, None, 2),), (), 1.0)

    def lose(work: Work) -> None:
        assert work.store.claim(work.run.run_id, "heir:2:2", "cpu", state(work)) is not None
        with pytest.raises(ClaimLost):
            work.record_training(TrainResult(1.0, 1, 1, None, 1, 100, 1.0))
        work.record_task(score)

    doing(monkeypatch, lose)

    assert execute(work).outcome == "lost"
    assert not state(work).trained and not state(work).scored
    assert [late.task for late in work.store.late_results(work.run.run_id)] == [None, "llm_adapters_boolq"]


def test_the_lock_of_a_training_names_its_database_without_the_password(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work.store, "url", "postgresql+psycopg://me:secret@db/results")
    with sole(work):
        lock = work.paths.lock.read_text()

    assert "me:***@db/results" in lock
