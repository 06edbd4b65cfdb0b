"""What the processes of a race do; spawned ones import it by its path."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from harness.store.records import Entry
from harness.store.store import open_store

FIELDS = {"name": "race", "profile": "paper", "path": "", "question": "", "benchmark": "micro", "spec": {}}


def race(name: str, db: str, run_id: str, start: str) -> str:
    """Waits for the file `start`; then opens the database, registers the run and claims it."""
    Path(f"{start}.{name}").touch()
    while not Path(start).exists():
        time.sleep(0.001)
    with open_store(db) as store:
        store.register(FIELDS, [Entry(run_id, "train", "micro-llama", "lora", 0, {}, "LoRA", ("boolq",))])
        claim = store.claim(run_id, name, "cpu")
    return "claimed" if claim else "late"


def work_until_killed(db: str, run_id: str) -> None:
    """A worker that trains, scores one task, begins the next, says so, and goes on for ever."""
    from harness.pipeline.workers import worker_name
    from harness.store.records import Score, TaskResult, TrainResult

    store = open_store(db)
    claim = store.claim(run_id, worker_name(), "cpu")
    assert claim is not None
    store.record_training(claim, store.states([run_id])[run_id].train_id, TrainResult(1.0, 1, 1, None, 1, 1, 100.0))
    store.record_task(claim, TaskResult("boolq", "1", "f1", (Score("accuracy", 0.5, None, 2),), (), 1.0))
    with store._writing() as session:
        from harness.store import claims, results

        task = TaskResult("piqa", "1", "f1", (Score("accuracy", 0.25, None, 2),), (), 1.0)
        results.record_task(session, claims.hold(session, claim), task)
        session.flush()
        print("in the middle of piqa", flush=True)
        time.sleep(600)


if __name__ == "__main__":
    work_until_killed(*sys.argv[1:])
