"""What an experiment, a training and a scoring leave behind, in small."""

from __future__ import annotations

from typing import Any

from harness.store.records import Claim, Entry, Sample, Score, TaskResult, TrainResult
from harness.store.store import Store

RUN = "0123456789ab"
TRAINING = TrainResult(
    seconds=12.5,
    steps=30,
    tokens=9_000_000_000,
    peak_memory_bytes=2**35,
    trainable_params=1_933_312,
    base_params=8_030_261_248,
    trainable_percent=0.0241,
    adapter_bytes=7_700_000,
    loss=({"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.25}),
    counts={"read": 100, "used": 98},
    provenance={"seed": 0},
)


def experiment(name: str = "first", profile: str = "paper") -> dict[str, Any]:
    """An experiment's own fields."""
    return {
        "name": name,
        "profile": profile,
        "path": f"{name}.yaml",
        "question": "Which?",
        "benchmark": "micro",
        "spec": {"name": name},
    }


def entry(run_id: str = RUN, tasks: tuple[str, ...] = ("boolq", "piqa"), label: str = "LoRA") -> Entry:
    """One run of an experiment."""
    return Entry(run_id, "t" + run_id[1:], "micro-llama", "lora", 0, {"model": "micro-llama"}, label, tasks)


def samples(outputs: bool = True) -> tuple[Sample, ...]:
    """Two answers, the second one wrong."""
    wrong = "the answer is no, ünd so weiter " * 20 if outputs else None
    return (Sample(0, "hash0", 1.0, "yes", 3), Sample(1, "hash1", 0.0, None, 240, wrong))


def result(task: str = "boolq", value: float = 0.5, fingerprint: str = "f1", outputs: bool = True) -> TaskResult:
    """One scored task."""
    scores = (Score("accuracy", value, 0.35, 2), Score("extracted", 0.5, None, 2))
    return TaskResult(task, "1.0", fingerprint, scores, samples(outputs), 3.5, {"prompt": "plain"})


def taken(store: Store, run_id: str = RUN, worker: str = "here:1:1") -> Claim:
    """The claim on a run that waits."""
    claim = store.claim(run_id, worker, "cpu")
    assert claim is not None
    return claim


def completed(store: Store, run_id: str = RUN, tasks: tuple[str, ...] = ("boolq",)) -> None:
    """Does a whole run."""
    claim = taken(store, run_id)
    store.record_training(claim, "t" + run_id[1:], TRAINING)
    for task in tasks:
        store.record_task(claim, result(task))
    store.finish(claim, {"packages": {"peft": "0.21.2"}})
