"""Experiments of micro runs in a folder of their own, some of which go wrong, done by either executor."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.adapters.catalogue import find_methods
from harness.paths import RunPaths, home
from harness.schedule.cluster import executor as clusters
from harness.schedule.cluster.executor import Cluster
from harness.schedule.options import CLUSTERS, Options
from harness.schedule.points import register
from harness.schedule.run import Outcome, run
from harness.spec.experiment import ExperimentSpec
from harness.spec.grid import points
from harness.spec.load import load_experiment
from harness.spec.run import RunSpec
from harness.store.records import AttemptRecord
from harness.store.store import Store, open_store

from . import slurm_stand_in
from .hand import FEW, Hand

DB = "sqlite:///results.db"
EXPERIMENT = """\
name: few
base: {model: micro-llama}
data: {train: micro, limit: 8}
train: {steps: 3, batch_size: 4, learning_rate: 1.0e-2, max_length: 64}
score: {limit: 2, batch_size: 2}
adapters: [%s]
tasks: [micro_true_false]
"""
METHOD = """\
method: %s
config_class: peft:LoraConfig
params: {r: 2, alpha: 4, targets: QV}
config: {r: "${r}", lora_alpha: "${alpha}", target_modules: "${targets}"}
callbacks: [{class: "accidents:%s"}]
"""
ACCIDENTS = """\
import os, signal
from transformers import TrainerCallback

class Killed(TrainerCallback):
    def on_step_end(self, *arguments, **named):
        os.kill(os.getpid(), signal.SIGKILL)

class DeviceLost(TrainerCallback):
    def on_step_end(self, *arguments, **named):
        raise RuntimeError("CUDA error: device-side assert triggered")
"""
CLASSES = {"killed": "Killed", "device_lost": "DeviceLost"}


@dataclass
class Done:
    """What came of an experiment: its outcome, and all that was told on the way."""

    outcome: Outcome
    told: list[tuple[RunSpec, dict[str, Any]]]

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Method and outcome of each run that was begun, in the order of their ends."""
        methods = {planned.run.run_id: planned.run.adapter.method for planned in self.outcome.plan.runs}
        return [(methods[result.run_id], result.outcome) for result in self.outcome.results]

    def events(self, method: str) -> list[dict[str, Any]]:
        return [event for run, event in self.told if run.adapter.method == method]


@dataclass
class Place:
    """A folder in which experiments are run."""

    folder: Path
    executor: str
    listeners: list[Callable[[RunSpec, dict[str, Any]], None]] = field(default_factory=list)

    def experiment(self, adapters: Sequence[str], changes: Sequence[str] = ()) -> ExperimentSpec:
        """An experiment over these adapter entries."""
        (self.folder / "few.yaml").write_text(EXPERIMENT % ", ".join(adapters))
        return load_experiment("few.yaml", None, changes, find_methods(self.folder / "methods"))

    def register(self, *adapters: str, changes: Sequence[str] = ()) -> list[RunSpec]:
        """Its runs, which wait."""
        experiment = self.experiment(adapters, changes)
        with open_store(DB) as store:
            register(store, experiment, points(experiment))
        return [point.run for point in points(experiment)]

    def run(self, *adapters: str, changes: Sequence[str] = (), **options: Any) -> Done:
        """Does an experiment."""
        told: list[tuple[RunSpec, dict[str, Any]]] = []

        def listen(run: RunSpec, event: dict[str, Any]) -> None:
            told.append((run, event))
            for listener in self.listeners:
                listener(run, event)

        experiment = self.experiment(adapters, changes)
        if self.executor in CLUSTERS:
            options = {"workers": 1} | options
        return Done(run(experiment, DB, Options(self.executor, **options), listen), told)  # type: ignore[arg-type]

    def store(self) -> Store:
        return open_store(DB, read_only=True)

    def recorded(self) -> dict[str, tuple[str, list[float], int]]:
        """By run: the hash of its adapter, its scores, how many threads it had."""
        with self.store() as store:
            runs = {run.run_id: run for run in store.runs() if run.status == "complete"}
            return {
                run_id: (
                    _hash(RunPaths(home(), run.train_id, run_id).adapter),
                    [score.value for score in store.scores([run_id])],
                    _threads(store.attempts(run_id)[-1]),
                )
                for run_id, run in runs.items()
            }

    def workers(self) -> dict[str, str]:
        """By method: the worker that tried it last."""
        with self.store() as store:
            return {
                run.method: store.attempts(run.run_id)[-1].worker for run in store.runs() if run.status != "pending"
            }


def with_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts Slurm's commands into a folder and on the way."""
    slurm_stand_in.install(folder)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def _threads(attempt: AttemptRecord) -> int:
    """As they were planned and as torch had them."""
    assert attempt.settings["threads"] == attempt.provenance["hardware"]["threads"]
    return attempt.settings["threads"]


def _hash(folder: Path) -> str:
    (file,) = folder.glob("*.safetensors")
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def make_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Place]:
    """Makes a project folder with methods that go wrong; it becomes the current directory."""

    def make(executor: str) -> Place:
        folder = tmp_path / executor
        (folder / "methods").mkdir(parents=True)
        if executor == "slurm":
            with_slurm(folder / "bin", monkeypatch)
        if executor == "ray":
            pytest.importorskip("ray")
            monkeypatch.setenv("RAY_ADDRESS", "local")
        for name, accident in CLASSES.items():
            (folder / "methods" / f"{name}.yaml").write_text(METHOD % (name, accident))
        (folder / "accidents.py").write_text(ACCIDENTS)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HARNESS_HOME", str(folder / "home"))
        monkeypatch.delenv("HARNESS_PROFILE", raising=False)
        return Place(folder, executor)

    torch.set_num_threads(1)
    return make


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
