"""One of several processes that do runs of one database: prints, as JSON, those that it did."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from harness.pipeline.workers import worker_name
from harness.store.records import Score, TaskResult, TrainResult
from harness.store.store import open_store


def race(db: str, start: str, name: str) -> list[str]:
    """Waits for the file `start`; then claims, does and ends every run that it can get."""
    done = []
    with open_store(db) as store:
        run_ids = sorted(run.run_id for run in store.runs())
        Path(f"{start}.{name}").touch()
        while not Path(start).exists():
            time.sleep(0.001)
        for run_id in run_ids:
            seen = store.states([run_id])[run_id]
            if seen.status != "pending" or (claim := store.claim(run_id, worker_name(), "cpu", seen)) is None:
                continue
            store.record_training(claim, f"t{run_id[1:]}", TrainResult(1.0, 1, 1, None, 1, 1, 100.0))
            score = Score("accuracy", float(int(run_id, 16)), None, 1)
            store.record_task(claim, TaskResult("t", "1", "f", (score,), (), 1.0))
            store.finish(claim, {})
            done.append(run_id)
    return done


if __name__ == "__main__":
    print(json.dumps(race(*sys.argv[1:])))
