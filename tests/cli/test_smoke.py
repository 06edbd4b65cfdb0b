"""The embedded model and benchmark measure something: fine-tuning adds what no way of asking the base gets out."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Project

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.mark.slow
def test_each_tuned_method_beats_the_base_by_ten_points_however_the_base_is_asked(project: Project) -> None:
    board = project.json("run", str(EXPERIMENTS / "smoke.yaml"), "--json")["leaderboard"]
    floor = project.json("run", str(EXPERIMENTS / "likelihood.yaml"), "--json")["leaderboard"]
    average = {row["method"]: row["average"]["value"] for row in board["rows"]}
    base = max(average.pop("none"), floor["rows"][0]["average"]["value"])
    assert set(average) == {"lora", "dora", "vera", "adalora", "denselora"}
    assert min(average.values()) > base + 10
    assert max(average.values()) < 100


@pytest.mark.slow
def test_lora_reaches_eighty_percent_with_twice_the_smoke_runs_steps(project: Project) -> None:
    arguments = ("--only", "lora", "--set", "train.steps=400", "--json")
    board = project.json("run", str(EXPERIMENTS / "smoke.yaml"), *arguments)["leaderboard"]
    (row,) = board["rows"]
    assert row["average"]["value"] >= 80
    assert row["average"]["value"] < 100
