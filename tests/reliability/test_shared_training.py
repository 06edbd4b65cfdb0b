"""Runs that are scored differently share a training, whoever does them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.store.store import open_store

ROOT = Path(__file__).parents[2]
EXPERIMENT = """\
name: %s
base: {model: micro-llama}
data: {train: micro, limit: 64, validation: 16}
train: {steps: 24, batch_size: 4, learning_rate: 1.0e-2, max_length: 64, eval_steps: 4, checkpoint: best}
adapters: [{method: lora, r: 4}]
tasks: [micro_true_false]
matrix: {score.limit: %s}
"""
LIMITS = {"first": [10, 12], "second": [14], "third": [16]}
DATABASES = {"first": "ours", "second": "ours", "third": "theirs"}


@pytest.mark.slow
def test_commands_that_begin_at_once_train_once_for_a_database_and_score_the_same_weights(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    commands = []
    for name, database in DATABASES.items():
        (tmp_path / f"{name}.yaml").write_text(EXPERIMENT % (name, LIMITS[name]), encoding="utf-8")
        command = [
            "-m",
            "harness",
            "--db",
            f"{database}.db",
            "run",
            f"{name}.yaml",
            "--workers",
            str(len(LIMITS[name])),
        ]
        commands.append(
            subprocess.Popen(
                [sys.executable, *command], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
            )
        )
    told = [command.communicate(timeout=600)[1] for command in commands]
    assert [command.returncode for command in commands] == [0, 0, 0], told

    trained, saved = [], set()
    for database, runs in (("ours", 3), ("theirs", 1)):
        with open_store(f"sqlite:///{tmp_path / database}.db", read_only=True) as store:
            listed = store.listing()
            assert [row.status for row in listed] == ["complete"] * runs
            states = store.states([row.run_id for row in listed])
            trainings = store.trainings([state.train_id for state in states.values()])
            saved |= {training.provenance["saved"] for training in trainings.values()}
            trained += [training.provenance["resumed_from"] for training in trainings.values()]
    assert (len(saved), trained) == (1, [None, None])
    assert not [file for folder in ("work", "locks") for file in (tmp_path / ".harness" / folder).iterdir()]
