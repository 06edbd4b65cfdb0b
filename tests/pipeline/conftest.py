"""An experiment in a folder of its own, with its data, and a database."""

from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.catalog.origins import origins
from harness.catalog.tasks import tasks
from harness.catalog.tasks import tasks as known_tasks
from harness.paths import RunPaths, home
from harness.pipeline.task_now import TasksNow
from harness.schedule.points import register
from harness.spec.grid import expand, points
from harness.spec.load import load_experiment
from harness.spec.run import RunSpec
from harness.store.records import Claim, Score, TaskResult, TrainResult
from harness.store.store import Store, open_store

TASKS = ("llm_adapters_boolq", "llm_adapters_piqa")
EXPERIMENT = """\
name: small
base: {model: llama3-8b}
data: {train: {path: train.json}}
adapters: [{method: lora}]
tasks: [llm_adapters_boolq, llm_adapters_piqa]
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with training data, test data and an empty home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("HARNESS_PROFILE", raising=False)
    (tmp_path / "train.json").write_text(json.dumps([{"instruction": "1 + 1?", "output": "2"}]))
    for name in TASKS:
        _own_test_data(name, tmp_path / "data", monkeypatch)
    return tmp_path


def _own_test_data(task: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a task's file; whose content the catalog doesn't fix."""
    known = tasks()[task]
    assert known.file is not None
    path = folder / known.file.file
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps([{"instruction": "1 + 1?", "answer": "2"}]))
    free = dataclasses.replace(known, file=dataclasses.replace(known.file, sha256=None))
    monkeypatch.setitem(tasks(), task, free)
    monkeypatch.delitem(origins(), known.file.file)


class Small:
    """The small experiment, changed or not, and what is recorded of its first run."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.store, self.path = store, folder / "small.yaml"

    def runs(self, *changes: tuple[str, str]) -> tuple[RunSpec, ...]:
        """Its runs after replacing texts of the file; they are registered."""
        text = EXPERIMENT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        self.path.write_text(text)
        experiment = load_experiment(self.path)
        register(self.store, experiment, points(experiment))
        return expand(experiment)

    def claim(self, run: RunSpec, worker: str = "elsewhere:1:1") -> Claim:
        claim = self.store.claim(run.run_id, worker, "cpu")
        assert claim is not None
        return claim

    def train(self, claim: Claim, run: RunSpec, keep: bool = True) -> None:
        """Records a training; keep: its weights lie in the home."""
        self.store.record_training(claim, run.train_id, TrainResult(1.0, 1, 1, None, 1, 100, 1.0))
        if keep:
            RunPaths(home(), run.train_id, run.run_id).adapter.mkdir(parents=True)

    def score(self, claim: Claim, *names: str, version: str | None = None) -> None:
        """Records a score of each task in a version, by default in the one that is here now."""
        for name in names:
            now = known_tasks()[name].version if name in known_tasks() else "1"
            scores = (Score("accuracy", 0.5, None, 2),)
            is_old = version not in (None, now)
            fingerprint = "old" if is_old else TasksNow().fingerprint(name, None) or "unknown"
            self.store.record_task(claim, TaskResult(name, version or now, fingerprint, scores, (), 1.0))


@pytest.fixture
def small(place: Path) -> Iterator[Small]:
    with open_store(f"sqlite:///{place / 'results.db'}") as store:
        yield Small(place, store)


@pytest.fixture(scope="session")
def dead_worker() -> str:
    """The name of a worker of this host that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return f"{socket.gethostname()}:{process.pid}:1"
