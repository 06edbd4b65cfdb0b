"""Tuning from end to end on the embedded model: tried on validation examples, chosen, run, reused, resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import PrerequisiteError
from harness.report.leaderboard import leaderboard
from harness.schedule.options import Options
from harness.schedule.points import register, selected
from harness.schedule.run import Outcome, run
from harness.spec.grid import expand, points
from harness.spec.load import load_experiment
from harness.spec.tuning import VALIDATION
from harness.store.records import Score, TaskResult, TrainResult
from harness.store.store import open_store

DB = "sqlite:///results.db"
EXPERIMENT = """\
# Does tuning choose?
name: tuned
base: {model: micro-llama}
data: {train: micro, limit: 12, validation: 6}
train: {steps: 2, batch_size: 4, max_length: 64, loss_on: completion}
score: {limit: 2, batch_size: 2}
adapters: [{method: lora, r: 2}]
tasks: [micro_true_false]
select: {over: {train.learning_rate: [1.0e-5, 1.0e-2]}}
"""
KILLED = """\
import os, signal
from harness.schedule.options import Options
from harness.schedule.run import run
from harness.spec.load import load_experiment
begun = []
def listen(spec, event):
    begun.append(spec.run_id) if event["event"] == "begin" else None
    if len(begun) == 2 and event["event"] == "step":
        os.kill(os.getpid(), signal.SIGKILL)
run(load_experiment("tuned.yaml"), "sqlite:///results.db", Options("in-process"), listen)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with the experiment."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HARNESS_PROFILE", raising=False)
    (tmp_path / "tuned.yaml").write_text(EXPERIMENT)
    return tmp_path


def go(*changes: str, **options: Any) -> Outcome:
    return run(load_experiment("tuned.yaml", None, changes), DB, Options("in-process", **options))


def actions(outcome: Outcome) -> list[tuple[str, float, int | None]]:
    """What was planned of each run: its learning rate and seed."""
    return [(each.action, each.run.train.learning_rate, each.run.seed) for each in outcome.plan.runs]


@pytest.mark.slow
def test_points_are_tried_then_the_best_is_run_and_the_same_command_reuses_all(folder: Path) -> None:
    first = go()
    assert actions(first) == [("train", 1e-5, 100), ("train", 1e-2, 100), ("train", 1e-2, 0)]
    assert first.exit_code == 0
    with open_store(DB, read_only=True) as store:
        tried = [place.run_id for place in store.memberships() if place.role == "tuning"]
        assert {score.task for score in store.scores(tried)} == {VALIDATION}
        losses = [score.value for score in store.scores(tried) if score.metric == "loss"]
        assert losses[0] > losses[1]
        (row,) = leaderboard(store, experiment="tuned").rows
        assert row.tuned == {
            "points": 2, "failed": 0, "by": "validation_loss", "seeds": [100], "value": losses[1],
            "chosen": {"train.learning_rate": 1e-2},
        }  # fmt: skip

    assert {each.action for each in go().plan.runs} == {"reuse"}

    more = go("select.over.train.learning_rate=[1.0e-5, 1.0e-2, 3.0e-2]")
    trained = [(rate, seed) for action, rate, seed in actions(more) if action == "train"]
    assert trained[0] == (3e-2, 100) and len(trained) <= 2, "only the new point is tried, and run if it is the best"

    by_hand = load_experiment("tuned.yaml", None, ["select=null", "train.learning_rate=1.0e-2"])
    assert [each.action for each in run(by_hand, DB, Options("in-process")).plan.runs] == ["reuse"]


def record(run_id: str, train_id: str, loss: float, test: float) -> None:
    """A finished run that tunes, with a validation loss and a test score beside it."""
    with open_store(DB) as store:
        claim = store.claim(run_id, "here:1:1", "cpu")
        assert claim is not None
        store.record_training(claim, train_id, TrainResult(1.0, 1, 1, None, 1, 100, 1.0))
        store.record_task(claim, TaskResult(VALIDATION, "1", "f", (Score("loss", loss, None, 6),), (), 1.0))
        store.record_task(claim, TaskResult("micro_true_false", "1.0", "f", (Score("loss", test, None, 2),), (), 1.0))
        store.finish(claim, {})


def plan_json(*options: str) -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["--db", DB, "plan", "tuned.yaml", "--json", *options], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def plan_text(*options: str) -> str:
    return CliRunner().invoke(cli, ["--db", DB, "plan", "tuned.yaml", *options], catch_exceptions=False).stdout


def registered() -> list[Any]:
    experiment = load_experiment("tuned.yaml")
    with open_store(DB) as store:
        register(store, experiment, points(experiment))
    return list(expand(experiment))


def test_test_scores_never_choose(folder: Path) -> None:
    worse, better = registered()
    record(worse.run_id, worse.train_id, loss=2.0, test=0.1)
    record(better.run_id, better.train_id, loss=1.0, test=9.9)
    assert plan_json()["tuning"][0]["chosen"] == {"train.learning_rate": 1e-2}


def test_status_counts_what_was_chosen(folder: Path) -> None:
    worse, better = registered()
    assert status_counts()["pending"] == 2
    record(worse.run_id, worse.train_id, loss=2.0, test=0.1)
    record(better.run_id, better.train_id, loss=1.0, test=0.1)
    assert (status_counts()["complete"], status_counts()["pending"]) == (2, 1)


def status_counts() -> dict[str, int]:
    done = CliRunner().invoke(cli, ["--db", DB, "status", "tuned.yaml", "--json"], catch_exceptions=False)
    return json.loads(done.stdout)["counts"]


def test_plan_shows_what_tunes_and_what_is_chosen_after_it(folder: Path) -> None:
    found = plan_json()
    assert [(row["role"], row["action"], row["tasks"]) for row in found["runs"]] == [
        ("tuning", "train", [VALIDATION]),
        ("tuning", "train", [VALIDATION]),
    ]
    (row,) = found["tuning"]
    assert (row["label"], row["chosen"], row["problem"], row["after_tuning"]) == ("lora", None, None, 1)
    assert [point["values"] for point in row["points"]] == [
        {"train.learning_rate": 1e-5},
        {"train.learning_rate": 1e-2},
    ]
    told = "chosen after tuning: lora, seed 0 (1 to run): one of 2 points by validation_loss, 0 of them tried"
    assert told in plan_text()


def test_where_all_points_failed_the_row_is_blocked_with_the_reason(folder: Path) -> None:
    for each in registered():
        with open_store(DB) as store:
            claim = store.claim(each.run_id, "here:1:1", "cpu")
            assert claim is not None
            store.fail(claim, "diverged", "the loss is nan", "", {})
    assert "blocked: tuned.yaml:7 adapters[0]: lora: none of its 2 points has a validation_loss" in plan_text()
    outcome = go()
    assert (outcome.exit_code, outcome.results) == (1, ())
    assert "diverged: the loss is nan; --retry-failed tries again" in str(outcome.unchosen[0])
    assert plan_json("--retry-failed")["tuning"][0]["problem"] is None


def test_what_the_chosen_point_lacks_is_told_before_anything_is_tried(folder: Path) -> None:
    with pytest.raises(PrerequisiteError, match="tasks: test data of llm_adapters_boolq"):
        go("tasks=[llm_adapters_boolq]")


def test_only_a_row_is_tuned_that_matches(folder: Path) -> None:
    (folder / "tuned.yaml").write_text(EXPERIMENT.replace("r: 2}", "r: 2}, {method: ia3}"))
    experiment = load_experiment("tuned.yaml")
    assert {point.run.adapter.method for point in selected(experiment, "ia3")} == {"ia3"}
    assert len(selected(experiment, "lora")) == len(selected(experiment, "ia3")) == 2
    assert len(selected(experiment, "*learning_rate=0.01")) == 2


@pytest.mark.slow
def test_a_command_that_is_killed_while_it_tunes_goes_on_where_it_was(folder: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=folder, env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    again = go()
    assert [action for action, *_ in actions(again)] == ["reuse", "train", "train"]
    assert [result.outcome for result in again.results] == ["complete", "complete"]
    assert again.exit_code == 0
