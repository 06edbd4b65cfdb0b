"""Runs in which something goes wrong with the model between training and score: they fail and record nothing."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import torch

import harness.score.scoring
import harness.train.adapter
import harness.train.training
from harness.adapters.catalogue import find_methods
from harness.pipeline.workbench import Workbench
from harness.schedule.options import Options
from harness.schedule.run import run
from harness.spec.load import load_experiment
from harness.store.store import open_store

EXPERIMENT = """\
name: right
base: {model: micro-llama}
data: {train: micro, limit: 8}
train: {steps: 2, batch_size: 4, learning_rate: 1.0e-2, max_length: 64}
score: {limit: 2, batch_size: 2}
adapters: [{method: lora, r: 2}]
tasks: [micro_true_false]
"""
METHODS = find_methods()
TRUE_FALSE, BLANK = "micro_true_false", "micro_fill_blank"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HARNESS_PROFILE", raising=False)
    torch.set_num_threads(1)
    (tmp_path / "right.yaml").write_text(EXPERIMENT)
    return tmp_path


def state_after(*changes, retry=False):
    """What is recorded of the one run once the experiment was run."""
    run(load_experiment("right.yaml", None, changes, METHODS), None, Options("in-process", retry_failed=retry))
    with open_store("sqlite:///results.db") as store:
        (record,) = store.runs()
        return store.states([record.run_id])[record.run_id]


def after_training(monkeypatch, fault):
    """From now on, something happens to each model that was trained."""
    train = harness.train.training.train

    def train_and_fail(*arguments, **named):
        result, model = train(*arguments, **named)
        fault(model)
        return result, model

    monkeypatch.setattr(harness.train.training, "train", train_and_fail)


@torch.no_grad()
def alter_base(model):
    next(weight for name, weight in model.named_parameters() if "base_layer" in name)[0, 0] += 1e-3


@torch.no_grad()
def alter_any(model):
    next(model.parameters())[0, 0] += 1e-3


@torch.no_grad()
def zero_adapter(model):
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.zero_()


def switch_off(model):
    model.base_model.disable_adapter_layers()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (alter_base, "weights changed after the training"),
        pytest.param(zero_adapter, "nothing but zeros", marks=pytest.mark.slow),
        pytest.param(switch_off, "the adapter changes nothing", marks=pytest.mark.slow),
    ],
)
def test_a_model_that_is_not_the_trained_one_is_not_scored_and_is_trained_again(fault, message):
    with pytest.MonkeyPatch.context() as patch:
        after_training(patch, fault)
        state = state_after()

    assert (state.status, state.kind) == ("failed", "internal")
    assert message in state.error
    assert not state.scored
    assert not state.trained

    assert state_after(retry=True).scored.keys() == {TRUE_FALSE}


@torch.no_grad()
def unmerge(model):
    """By arithmetic, and too early."""
    for layer in model.modules():
        if getattr(layer, "merged_adapters", None):
            layer.unmerge()


@pytest.mark.parametrize(
    ("method", "merge", "fault"),
    [
        pytest.param("lora", "never", alter_base, marks=pytest.mark.slow),
        pytest.param("lora", "never", zero_adapter, marks=pytest.mark.slow),
        pytest.param("lora", "never", switch_off, marks=pytest.mark.slow),
        pytest.param("dora", "auto", alter_base, marks=pytest.mark.slow),
        pytest.param("lora", "auto", zero_adapter, marks=pytest.mark.slow),
        pytest.param("lora", "auto", unmerge, marks=pytest.mark.slow),
        ("lora", "auto", switch_off),
        ("none", "auto", alter_any),
    ],
)
def test_what_was_scored_with_another_model_is_not_recorded_and_what_was_before_is(method, merge, fault, monkeypatch):
    score = harness.score.scoring.score

    def score_and_fail(run, model, *arguments, **named):
        results = score(run, model, *arguments, **named)
        yield next(results)
        fault(model)
        yield next(results)

    monkeypatch.setattr(harness.score.scoring, "score", score_and_fail)

    state = state_after(f"tasks=[{TRUE_FALSE}, {BLANK}]", f"adapters=[{{method: {method}}}]", f"score.merge={merge}")

    assert (state.status, state.kind) == ("failed", "internal")
    assert state.scored.keys() == {TRUE_FALSE}


def test_a_kept_adapter_that_was_not_loaded_is_not_scored(monkeypatch):
    assert state_after().status == "complete"

    def attach_only(base, directory, ref):
        return harness.train.adapter.attach(base, ref, 2, seed=0).eval()

    monkeypatch.setattr(harness.train.adapter, "load_adapter", attach_only)

    state = state_after(f"tasks=[{TRUE_FALSE}, {BLANK}]")

    assert state.status == "pending"
    assert (
        "not those that were trained and saved; remove that folder, and the same command trains it again"
        in state.error
    )
    assert state.scored.keys() == {TRUE_FALSE}


def test_a_changed_base_is_not_taken_for_the_bare_one(monkeypatch):
    lend = Workbench.base

    def lend_altered(bench, ref):
        base, tokenizer = lend(bench, ref)
        alter_any(base)
        return base, tokenizer

    monkeypatch.setattr(Workbench, "base", lend_altered)

    state = state_after("adapters=[{method: none}]")

    assert (state.status, state.kind) == ("failed", "internal")
    assert not state.scored


METHOD = "adapters=[{{method: {}, {}}}]"


@pytest.mark.parametrize(
    ("changes", "merged"),
    [
        ([METHOD.format("dora", "r: 2")], True),
        pytest.param([METHOD.format("dora", "r: 2"), "score.merge=never"], False, marks=pytest.mark.slow),
        pytest.param([METHOD.format("dora", "r: 2"), "base.dtype=bfloat16"], False, marks=pytest.mark.slow),
        pytest.param([METHOD.format("denselora", "r: 2")], False, marks=pytest.mark.slow),
        pytest.param([METHOD.format("prompt_tuning", "train: {}")], False, marks=pytest.mark.slow),
        pytest.param(["adapters=[{method: full}]"], False, marks=pytest.mark.slow),
    ],
)
def test_a_score_says_whether_its_adapter_was_merged_and_the_worker_keeps_its_base(changes, merged, monkeypatch):
    kept = []
    give_back = Workbench.give_back

    def noticed(bench, model):
        give_back(bench, model)
        kept.append(bench._base is not None)

    monkeypatch.setattr(Workbench, "give_back", noticed)
    state = state_after("base.dtype=float32", *changes)

    assert state.status == "complete", state.error
    assert recorded() == {TRUE_FALSE: merged}
    assert kept == ["full" not in changes[0]]


def recorded():
    """For each task that was scored, whether the adapter was merged."""
    query = "SELECT tasks.name, scorings.provenance FROM scorings JOIN tasks ON tasks.id = scorings.task"
    with closing(sqlite3.connect("results.db")) as database:
        return {task: json.loads(provenance)["merged"] for task, provenance in database.execute(query)}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "dora"])
def test_merged_or_not_every_item_is_answered_alike(method):
    found = []
    for merge in ("auto", "never"):
        changes = [METHOD.format(method, "r: 2"), f"score.merge={merge}", "base.dtype=float32", "score.limit=40"]
        state_after(*changes, "score.store_outputs=all", f"tasks=[{TRUE_FALSE}, {BLANK}]")
        with open_store("sqlite:///results.db") as store:
            (record,) = store.runs()
            found.append([store.samples(record.run_id, task) for task in (TRUE_FALSE, BLANK)])
        assert recorded() == dict.fromkeys((TRUE_FALSE, BLANK), merge == "auto")
        Path("results.db").rename(f"{merge}.db")
    assert all(found[0])
    assert found[0] == found[1]
