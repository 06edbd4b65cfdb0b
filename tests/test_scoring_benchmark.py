"""`benchmarks/scoring.py` compares scoring with stock lm-eval's, and stops where the answers differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
QUICK = ("--items", "3", "--rounds", "1", "--batch-sizes", "2", "--tuning-steps", "0")


@pytest.mark.slow
def test_one_document_says_how_ours_compares_to_lm_eval_and_to_the_floor():
    command = [sys.executable, "benchmarks/scoring.py", *QUICK, "--json"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    targets = {"generation": 0.75, "piqa": 0.7, "hellaswag": 0.7, "prompt": 0.7, "last token": 1.0}
    assert {each["work"]: each["target"] for each in results} == targets
    for each in results:
        assert (each["model"], each["stock"], each["ours"]) == ("micro-llama", "lm-eval, 2", "ours, 2")
        assert 0 < each["ratio"] < 3 and each["floor_seconds"] > 0
