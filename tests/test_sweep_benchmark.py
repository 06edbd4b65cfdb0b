"""`benchmarks/sweep.py`: the same trainings and the same questions as the commands that it is compared with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
QUICK = ("--runs", "2", "--looped", "1", "--steps", "10", "--items", "20")


@pytest.mark.slow
def test_the_sweep_and_the_commands_end_with_the_same_weights_and_scores() -> None:
    command = [sys.executable, "benchmarks/sweep.py", *QUICK, "--json"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    first, second = found["runs"]
    assert (first["weights_apart"], first["theirs"]) == (0.0, first["ours"])
    assert (second["weights_apart"], second["theirs"]) == (None, None)
    assert found["ratio"]["cpu"] == pytest.approx(found["theirs"]["cpu"] / found["ours"]["cpu"])
    parts = [found["theirs"][name]["cpu"] for name in ("trl sft", "lm_eval")]
    assert found["theirs"]["cpu"] == pytest.approx(sum(parts))
    assert found["looped"] == 1
