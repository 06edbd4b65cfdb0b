"""A results database with everything that a site shows, and with hostile names and answers."""

from __future__ import annotations

import math

import numpy as np

from harness.store.records import Sample, Score, TaskResult, TrainResult
from harness.store.store import open_store

from ..database import TASKS, Asked, Database, asked

HOSTILE = "<script>window.pwned = 1</script> & \"vera\" 'x' <img src=x onerror='window.pwned = 2'>"
OUTPUT = "</pre></script><script>window.pwned = 3</script> & the answer is no"
CHANCES = {"lora": 0.55, "dora": 0.6, HOSTILE: 0.52, "denselora": 0.75}
ITEMS = 150
STEPS = 300


def fill(database: Database, methods: dict[str, float] = CHANCES, seeds: int = 3, items: int = ITEMS) -> None:
    """Methods (label: chance of a right answer) with their seeds, a base model, a failed run."""
    draw = np.random.default_rng(0)
    hard = draw.uniform(-0.2, 0.2, items)
    runs = [
        (asked("lora", seed=seed, label=label, r=8 * (number + 1)), chance, number)
        for number, (label, chance) in enumerate(methods.items())
        for seed in range(seeds)
    ]
    bare = asked("none", label="base model")
    broken = asked("lora", seed=0, label="broken", r=7)
    database.register(*(run for run, _, _ in runs), bare, broken)
    with open_store(database.url) as store:
        for run, chance, number in [*runs, (bare, 0.3, 0)]:
            claim = store.claim(run.spec.run_id, "worker", "cpu")
            assert claim is not None
            if run is not bare:
                store.record_training(claim, run.spec.train_id, training(run, 4000 * (number + 1)))
            for task in TASKS:
                right = draw.uniform(size=items) < chance + hard
                share = float(right.mean())
                score = Score("accuracy", share, math.sqrt(share * (1 - share) / (items - 1)), items)
                samples = tuple(
                    Sample(i, f"hash{i}", float(y), HOSTILE if i % 2 else None, 7, None if y else f"{i}: {OUTPUT}")
                    for i, y in enumerate(right)
                )
                store.record_task(claim, TaskResult(task, "1.0", "f1", (score,), samples, 1.0))
            store.finish(claim, {"packages": {"peft": "0.21.2"}, "note": OUTPUT})
    database.fail(broken, "diverged", HOSTILE)


def training(run: Asked, params: int) -> TrainResult:
    """A training whose loss falls."""
    loss = tuple(
        {"step": step, "loss": 1 + math.exp(-step / 50)} | ({"eval_loss": 1.5} if step % 100 == 0 else {})
        for step in range(1, STEPS + 1)
    )
    return TrainResult(60.0, STEPS, 10_000, 2**29, params, 400_000, params / 4000, params * 4, loss, {"read": 100})
