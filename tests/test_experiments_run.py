"""Every shipped experiment runs at its micro scale, from YAML to leaderboard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import expand, load_experiment
from harness.spec.files import profiles_of

FOLDER = Path(__file__).parents[1] / "experiments"
MICRO = sorted(
    path for path in FOLDER.glob("*.yaml") if not path.name.startswith("_") and "micro" in profiles_of(path)
)
# Whether it runs is asked here, not what it finds: a few items of each task, and as few steps as every method takes.
SHORT = ("--set", "train.steps=6", "--limit", "2")


def harness(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(
        command, cwd=folder, env=kept | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )


def test_the_papers_tables_and_figures_and_our_own_questions_have_a_micro_scale():
    asked = {
        "commonsense", "arithmetic", "granularity", "components", "low_resource", "rank", "increments", "related",
        "methods", "smoke", "likelihood", "tuned",
    }  # fmt: skip
    assert {path.stem for path in MICRO} == asked


@pytest.mark.parametrize("name", ["smoke", "likelihood", "tuned"])
def test_a_file_that_is_micro_as_it_stands_has_the_same_runs_at_its_micro_scale(name):
    path = FOLDER / f"{name}.yaml"
    plain, micro = (expand(load_experiment(path, profile)) for profile in ("paper", "micro"))
    assert [run.run_id for run in micro] == [run.run_id for run in plain]


@pytest.mark.slow
@pytest.mark.parametrize("path", MICRO, ids=lambda path: path.stem)
def test_it_runs_at_its_micro_scale(path, tmp_path):
    done = harness(tmp_path, "run", str(path), "--profile", "micro", *SHORT, "--json")

    assert done.returncode == 0, done.stderr
    board = json.loads(done.stdout)["leaderboard"]
    asked = {run.adapter.model_dump_json() for run in expand(load_experiment(path, "micro"))}
    assert not board["failed"]
    assert sum(row["seeds"] or 1 for row in board["rows"]) >= len(asked)
    assert all(value["n"] > 0 for row in board["rows"] for value in row["scores"].values())
