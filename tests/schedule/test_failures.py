"""What becomes of a run that finds too little memory, takes too long, dies, or loses its disk or its data."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.paths import RunPaths, home
from harness.schedule import rounds as module
from harness.schedule.loop import Loop
from harness.spec.run import RunSpec
from harness.store.records import AttemptRecord, RunRecord

from . import conftest
from .conftest import METHOD, Done, Place

ACCIDENTS = """\
import resource, os, signal, time
from pathlib import Path
import psutil
from transformers import TrainerCallback

class Hungry(TrainerCallback):
    \"\"\"Memory for `most` rows at a time, from a step on.\"\"\"
    def __init__(self, most, since=1):
        self.most, self.since = most, since

    def on_train_begin(self, args, state, control, model, **named):
        def refuse(module, values, names):
            if module.training and state.global_step + 1 >= self.since and len(names["input_ids"]) > self.most:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")
        self.hook = model.register_forward_pre_hook(refuse, with_kwargs=True)

class Limited(TrainerCallback):
    \"\"\"So many more bytes of address space for this process, and no more.\"\"\"
    def __init__(self, more):
        self.more = more

    def on_train_begin(self, args, state, control, **named):
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + self.more, hard))

    def on_train_end(self, args, state, control, **named):
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))

class Hanging(TrainerCallback):
    def on_step_end(self, *arguments, **named):
        time.sleep(600)

class KilledOnce(TrainerCallback):
    def on_step_end(self, *arguments, **named):
        if not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

class Slow(TrainerCallback):
    def on_step_end(self, *arguments, **named):
        time.sleep(0.5)

class NoRoom(TrainerCallback):
    def on_step_end(self, *arguments, **named):
        if not Path("mended").exists():
            raise OSError(28, "No space left on device", "checkpoint-1")

class Vanished(TrainerCallback):
    def on_step_end(self, *arguments, **named):
        from harness.errors import PrerequisiteError
        if not Path("mended").exists():
            raise PrerequisiteError("train.json is not there")
"""


@pytest.fixture
def here(make_place: Callable[[str], Place]) -> Place:
    return place_of(make_place("in-process"))


@pytest.fixture
def local(make_place: Callable[[str], Place]) -> Place:
    return place_of(make_place("local"))


def place_of(place: Place) -> Place:
    (place.folder / "misfortunes.py").write_text(ACCIDENTS)
    return place


def method(place: Place, name: str, callback: str = "", args: str = "{}") -> str:
    """A method of this name that meets with a misfortune; returns its entry."""
    text = METHOD.replace('"accidents:%s"', f'"misfortunes:{callback}", args: {args}') if callback else METHOD
    kept = [line for line in text.splitlines() if callback or not line.startswith("callbacks")]
    (place.folder / "methods" / f"{name}.yaml").write_text("\n".join(kept).replace("%s", name) + "\n")
    return f"{{method: {name}}}"


def with_train(entry: str, **settings: Any) -> str:
    told = ", ".join(f"{name}: {value}" for name, value in settings.items())
    return f"{entry[:-1]}, train: {{{told}}}}}"


def recorded(place: Place, name: str) -> tuple[RunRecord, tuple[AttemptRecord, ...]]:
    with place.store() as store:
        (run_id,) = [run.run_id for run in store.runs() if run.method == name]
        (run,) = store.runs([run_id], loss=True)
        return run, store.attempts(run_id)


def losses(run: RunRecord) -> list[float]:
    assert run.training is not None
    return [line["loss"] for line in run.training.loss if "loss" in line]


def checkpoints(run: RunRecord) -> list[Path]:
    return sorted(RunPaths(home(), run.train_id, run.run_id).checkpoints.glob("checkpoint-*"))


def message(done: Done) -> str:
    return str(done.outcome.results[-1].message)


@pytest.mark.parametrize("since", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_training_short_of_memory_goes_on_in_smaller_micro_batches_as_if_they_had_been_planned(
    here: Place, since: int
) -> None:
    hungry = method(here, "hungry", "Hungry", f"{{most: 1, since: {since}}}")
    planned = method(here, "planned")
    done = here.run(
        with_train(hungry, eval_steps=1, batch_size=6), with_train(planned, batch_size=6, micro_batch_size=1)
    )
    assert [outcome for _, outcome in done.outcomes] == ["complete", "complete"]
    run, attempts = recorded(here, "hungry")
    like, _ = recorded(here, "planned")
    assert run.training is not None and like.training is not None
    assert (len(attempts), attempts[0].settings["micro_batch_size"]) == (1, 1)
    assert [event["value"] for event in done.events("hungry") if event["event"] == "changed"] == [3, 1]
    assert run.training.provenance["micro_batch_size"] == 1
    assert run.training.provenance["resumed_from"] == (None if since == 1 else 2)
    assert run.training.tokens == like.training.tokens
    assert losses(run) == pytest.approx(losses(like), rel=1e-6 if since == 1 else 1e-4)
    if since == 1:
        assert run.training.provenance["weights"] == like.training.provenance["weights"]
    assert not checkpoints(run)


@pytest.mark.slow
def test_a_base_that_was_trained_as_a_whole_is_loaded_anew_for_a_smaller_micro_batch(here: Place) -> None:
    callbacks = 'callbacks: [{class: "misfortunes:Hungry", args: {most: 2, since: 2}}]\n'
    for name, more in (("whole", callbacks), ("planned", "")):
        (here.folder / "methods" / f"{name}.yaml").write_text(f"method: {name}\ntrains: all\n{more}")
    done = here.run("{method: whole}", with_train("{method: planned}", micro_batch_size=2))
    assert [outcome for _, outcome in done.outcomes] == ["complete", "complete"]
    runs = [recorded(here, name)[0] for name in ("whole", "planned")]
    assert losses(runs[0]) == losses(runs[1])


@pytest.mark.slow
def test_a_row_that_does_not_fit_alone_fails_the_run_as_oom(here: Place) -> None:
    done = here.run(method(here, "hungry", "Hungry", "{most: 0}"), method(here, "planned"))
    assert done.outcomes == [("hungry", "failed"), ("planned", "complete")]
    run, (attempt,) = recorded(here, "hungry")
    assert (run.kind, attempt.settings["micro_batch_size"]) == ("oom", 1)
    assert "micro-batches of 1 don't fit" in str(run.error)


@pytest.mark.slow
def test_a_real_allocation_that_fails_halves_the_micro_batch(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "EXPERIMENT", conftest.EXPERIMENT.replace(", limit: 8", ""))
    limited = method(local, "limited", "Limited", "{more: 500000000}")
    done = local.run(with_train(limited, batch_size=256, steps=1, max_length=256))
    assert [outcome for _, outcome in done.outcomes] == ["complete"], done.outcome.results
    _, (attempt,) = recorded(local, "limited")
    assert attempt.settings["micro_batch_size"] < 256


@pytest.mark.slow
def test_a_signal_in_the_middle_of_a_task_does_not_wait_for_its_end_and_no_training_is_done_again(here: Place) -> None:
    def stop(run: RunSpec, event: dict[str, Any]) -> None:
        if event["event"] == "items" and event["done"] < event["total"]:
            here.listeners.clear()
            os.kill(os.getpid(), signal.SIGTERM)

    here.listeners.append(stop)
    planned = method(here, "planned")
    done = here.run(planned)
    assert (done.outcomes, done.outcome.exit_code) == ([("planned", "stopped")], 3)
    last = [event for event in done.events("planned") if event["event"] == "items"][-1]
    assert last["done"] < last["total"]
    again = here.run(planned)
    assert again.outcome.exit_code == 0
    assert "step" not in [event["event"] for event in again.events("planned")]


def test_a_run_out_of_time_ends_softly_and_goes_on_from_its_checkpoint_when_it_is_tried_again(here: Place) -> None:
    slow = with_train(method(here, "slow", "Slow"), steps=8)
    done = here.run(slow, timeout=1.5)
    run, (attempt,) = recorded(here, "slow")
    assert (run.status, run.kind, attempt.kind) == ("failed", "timeout", "timeout")
    assert "took longer than 1.5 s" in message(done)
    assert checkpoints(run)
    assert here.run(slow).outcome.exit_code == 1, "a time-out is not tried again unasked"
    assert here.run(slow, retry_failed=True).outcome.exit_code == 0
    run, _ = recorded(here, "slow")
    assert run.training is not None and run.training.provenance["resumed_from"]


@pytest.mark.slow
def test_a_run_that_hangs_is_killed_and_its_worker_replaced(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Loop", partial(Loop, grace=2.0))
    done = local.run(method(local, "hanging", "Hanging"), method(local, "planned"), timeout=90.0)
    assert done.outcomes == [("hanging", "failed"), ("planned", "complete")]
    run, (attempt,) = recorded(local, "hanging")
    assert (run.kind, attempt.kind, attempt.outcome) == ("timeout", "timeout", "failed")
    assert "its worker was killed" in str(run.error)
    workers = local.workers()
    assert workers["hanging"] != workers["planned"]


@pytest.mark.slow
@pytest.mark.slow
def test_a_run_whose_worker_dies_is_tried_once_more(local: Place) -> None:
    done = local.run(method(local, "unlucky", "KilledOnce"))
    assert (done.outcomes, done.outcome.exit_code) == ([("unlucky", "complete")], 0)
    _, attempts = recorded(local, "unlucky")
    assert [(attempt.outcome, attempt.kind) for attempt in attempts] == [("failed", "crashed"), ("complete", None)]
    assert "again" in [event["event"] for event in done.events("unlucky")]


def test_a_full_disk_stops_the_command_and_the_same_command_goes_on_once_there_is_room(here: Place) -> None:
    runs = (method(here, "full_disk", "NoRoom"), method(here, "planned"))
    done = here.run(*runs)
    assert (done.outcomes, done.outcome.exit_code) == ([("full_disk", "blocked")], 3)
    assert "checkpoint-1: the disk is full; make room" in message(done)
    run, (attempt,) = recorded(here, "full_disk")
    assert (run.status, attempt.outcome) == ("pending", "stopped")
    assert "the disk is full" in str(attempt.message)
    Path("mended").touch()
    assert here.run(*runs).outcome.exit_code == 0


@pytest.mark.slow
def test_a_run_whose_data_vanished_waits_while_the_others_go_on(here: Place) -> None:
    runs = (method(here, "bereft", "Vanished"), method(here, "planned"))
    done = here.run(*runs)
    assert done.outcomes == [("bereft", "blocked"), ("planned", "complete")]
    assert done.outcome.exit_code == 3
    run, _ = recorded(here, "bereft")
    assert (run.status, run.error) == ("pending", "train.json is not there")
    Path("mended").touch()
    assert here.run(*runs).outcome.exit_code == 0


def test_too_little_room_for_checkpoints_is_told_before_any_training(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.errors import PrerequisiteError
    from harness.pipeline import disk

    usage = type(disk.shutil.disk_usage(os.curdir))
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 2**20))
    with pytest.raises(
        PrerequisiteError, match=r"few.yaml:4 train: checkpoints and adapters need about \d+ MiB under"
    ):
        here.run(method(here, "planned"))
    assert recorded(here, "planned")[1] == ()
