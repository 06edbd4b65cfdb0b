"""Runs in which something goes wrong with the model between training and score: they fail and record nothing."""

from __future__ import annotations

import pytest
import torch

import harness.score.scoring
import harness.train.adapter
import harness.train.training
from harness.adapters.catalogue import find_methods
from harness.pipeline.workbench import Workbench
from harness.schedule.run import Options, run
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


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        pytest.param("lora", alter_base, marks=pytest.mark.slow),
        pytest.param("lora", zero_adapter, marks=pytest.mark.slow),
        ("lora", switch_off),
        ("none", alter_any),
    ],
)
def test_what_was_scored_with_another_model_is_not_recorded_and_what_was_before_is(method, fault, monkeypatch):
    score = harness.score.scoring.score

    def score_and_fail(run, model, *arguments, **named):
        results = score(run, model, *arguments, **named)
        yield next(results)
        fault(model)
        yield next(results)

    monkeypatch.setattr(harness.score.scoring, "score", score_and_fail)

    state = state_after(f"tasks=[{TRUE_FALSE}, {BLANK}]", f"adapters=[{{method: {method}}}]")

    assert (state.status, state.kind) == ("failed", "internal")
    assert state.scored.keys() == {TRUE_FALSE}


def test_a_kept_adapter_that_was_not_loaded_is_not_scored(monkeypatch):
    assert state_after().status == "complete"

    def attach_only(base, directory, ref):
        return harness.train.adapter.attach(base, ref, 2, seed=0).eval()

    monkeypatch.setattr(harness.train.adapter, "load_adapter", attach_only)

    state = state_after(f"tasks=[{TRUE_FALSE}, {BLANK}]")

    assert (state.status, state.kind) == ("failed", "internal")
    assert "not those that were trained and saved" in state.error
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
