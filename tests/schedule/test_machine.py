"""How many threads a run computes with: a matter of the run and the machine, not of who else works."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.pipeline.gpus import visible_gpus
from harness.schedule.machine import Machine, crowding
from harness.spec.run import ApiRef, ModelRef

from .test_loop import run_of

MICRO, SMOL = ModelRef(name="micro-llama"), ModelRef(name="smollm2-135m")
API = ModelRef(name="x", api=ApiRef(protocol="openai-chat", url="http://localhost", timeout=1, max_retries=0))


@pytest.mark.parametrize(
    ("model", "machine", "threads"),
    [
        (MICRO, Machine(16), 1),
        (API, Machine(16), 1),
        (SMOL, Machine(16), 16),
        (SMOL, Machine(16, gpus=("0", "1")), 8),
        (SMOL, Machine(2, gpus=("0", "1", "2", "3")), 1),
        (MICRO, Machine(16, asked=3), 3),
        (SMOL, Machine(16, asked=3), 3),
        (ModelRef(name="nobody/fetched-this"), Machine(4), 4),
        (ModelRef(name="/is/gone"), Machine(4), 4),
    ],
)
def test_threads_hang_on_the_model_and_the_machine(model: ModelRef, machine: Machine, threads: int) -> None:
    assert machine.threads(model) == threads


def test_what_the_user_asks_for_and_what_there_is_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-5")
    assert Machine.here() == Machine(len(os.sched_getaffinity(0)), ("2", "GPU-5"), 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert Machine.here() == Machine(len(os.sched_getaffinity(0)))


def test_gpus_are_counted_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: One (UUID: GPU-1)'\necho 'GPU 1: Two (UUID: GPU-2)'\n")
    tool.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == ("0", "1")


@pytest.mark.parametrize(
    ("gpus", "workers", "runs_per_device", "places"),
    [
        ((), None, 1, [None]),
        ((), None, 3, [None] * 3),
        ((), 2, 1, [None] * 2),
        (("0", "3"), None, 1, ["0", "3"]),
        (("0", "3"), None, 2, ["0", "3", "0", "3"]),
        (("0", "3"), 3, 1, ["0", "3", "0"]),
        (("0", "3"), 1, 1, ["0"]),
    ],
)
def test_workers_are_dealt_out_to_devices(
    gpus: tuple[str, ...], workers: int | None, runs_per_device: int, places: list[str | None]
) -> None:
    assert Machine(8, gpus).places(workers, runs_per_device) == places


def test_a_run_of_several_threads_begins_only_where_it_finds_its_cores() -> None:
    machine = Machine(8)

    assert machine.has_room(16, busy=[]), "nothing is too large for an idle machine"
    assert machine.has_room(4, busy=[4])
    assert not machine.has_room(4, busy=[4, 1])
    assert machine.has_room(1, busy=[8, 1]), "micro runs are as many as the user asks for"
    assert Machine(8, gpus=("0",)).has_room(8, busy=[8])


def test_workers_that_would_fight_for_cores_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "here", lambda: Machine(16))
    wide = run_of("a").model_copy(update={"model": SMOL})

    assert crowding([run_of("a")], workers=64) is None
    assert crowding([wide], workers=1) is None
    told = crowding([run_of("b"), wide], workers=4)
    assert told is not None
    assert "16 threads each go on 1 at a time on 16 cores, not 4; OMP_NUM_THREADS=4" in told
