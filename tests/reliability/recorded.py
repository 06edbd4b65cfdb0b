"""All that a finished experiment leaves behind and that no accident may change."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.paths import RunPaths
from harness.store.store import open_store


def recorded(folder: Path) -> dict[str, Any]:
    """By run id: status, steps, losses, scores, every item's outcome, and the hash of the adapter's file."""
    with open_store(f"sqlite:///{folder / 'results.db'}", read_only=True) as store:
        runs = store.runs(loss=True)
        return {
            run.run_id: {
                "status": run.status,
                "training": (run.training.steps, run.training.tokens, _losses(run.training.loss)),
                "scores": sorted((s.task, s.metric, s.value, s.stderr, s.n) for s in store.scores([run.run_id])),
                "answers": {task: [asdict(s) for s in store.samples(run.run_id, task)] for task in run_tasks(run)},
                "adapter": _hash(RunPaths(folder / "home", run.train_id, run.run_id).adapter),
            }
            for run in runs
            if run.training is not None
        }


def run_tasks(run: Any) -> list[str]:
    return list(run.spec["tasks"])


def _losses(log: Any) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in log if "loss" in line]


def _hash(folder: Path) -> str:
    (file,) = folder.glob("*.safetensors")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def counts(folder: Path) -> dict[str, list[int]]:
    """How often each thing is recorded, by what it is of: once."""
    with sqlite3.connect(folder / "results.db") as connection:
        asked = {
            "trainings": "SELECT count(*) FROM trainings GROUP BY train_id",
            "scored tasks": "SELECT count(*) FROM scorings GROUP BY run, task",
            "scores": "SELECT count(*) FROM scores GROUP BY run, task, metric",
            "samples": "SELECT count(*) FROM samples GROUP BY run, task",
            "completions": "SELECT count(*) FROM attempts WHERE outcome = 'complete' GROUP BY run",
        }
        found = {what: [n for (n,) in connection.execute(query)] for what, query in asked.items()}
        (intact,) = connection.execute("PRAGMA integrity_check").fetchone()
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        unended = connection.execute("SELECT count(*) FROM attempts WHERE outcome IS NULL").fetchone()
    assert (intact, broken, unended) == ("ok", [], (0,))
    return found
