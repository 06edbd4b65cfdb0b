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


@pytest.mark.slow
def test_the_granularity_experiment_ranks_the_papers_mixtures_on_the_embedded_model(project: Project) -> None:
    arguments = ("--profile", "micro", "--set", "train.steps=20", "--set", "score.limit=10", "--json")
    board = project.json("run", str(EXPERIMENTS / "granularity.yaml"), *arguments)["leaderboard"]
    trainable = {row["label"]: row["trainable_params"] for row in board["rows"]}
    assert set(trainable) == {
        "LoRA on QKVUD",
        "LoRA on QKV, DenseLoRA on UD",
        "LoRA on UD, DenseLoRA on QKV",
        "DenseLoRA on QKV",
        "DenseLoRA on UD",
        "DenseLoRA on QKVUD",
    }
    parts = trainable["DenseLoRA on QKV"] + trainable["DenseLoRA on UD"]
    assert trainable["DenseLoRA on QKVUD"] == parts
    mixtures = trainable["LoRA on QKV, DenseLoRA on UD"] + trainable["LoRA on UD, DenseLoRA on QKV"]
    assert mixtures == trainable["LoRA on QKVUD"] + parts
