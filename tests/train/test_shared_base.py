"""Runs that follow each other on one base: what one leaves behind must not reach the next."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load_file

from harness.paths import RunPaths
from harness.pipeline.workbench import Workbench
from harness.score.scoring import score
from harness.spec.run import AdapterRef, ModelRef, ScoreSettings
from harness.train.adapter import load_adapter
from harness.train.training import train

from .runs import METHODS, adapter, run_of

SEQUENCE = {
    "lora": METHODS["lora"],
    "dora": METHODS["dora"],
    "prompt_tuning": adapter("prompt_tuning", "peft:PromptTuningConfig", num_virtual_tokens=4),
    "ia3": METHODS["ia3"],
    "full": AdapterRef(method="full", trains="all"),
    "loreft": adapter("loreft", "harness.tuners:LoReftConfig", r=2),
    "denselora": METHODS["denselora"],
}
TASK = "micro_true_false"


@pytest.fixture
def tiny(fresh_base, tokenizer, tmp_path):
    """The directory of the tiny model."""
    fresh_base().save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def done(data, tiny, tmp_path):
    """Trains and scores a method on what a workbench lends; returns its saved weights and its answers."""

    def done(bench, name, folder, dtype="float32", handle=lambda model: None):
        run = run_of(
            data, SEQUENCE[name], steps=2, loss_on="completion", gradient_checkpointing=name == "dora"
        ).model_copy(
            update={
                "model": ModelRef(name=str(tiny), dtype=dtype),
                "keep": True,
                "score": ScoreSettings(limit=2, batch_size=2, store_outputs="all"),
            }
        )
        paths = RunPaths(tmp_path / folder / name, "a1", "b2")
        base, tokenizer = bench.base(run.model)
        _, model = train(run, paths, base, tokenizer, emit=lambda event: None, should_stop=lambda: False)
        handle(model)
        answers = answers_of(run, model, tokenizer)
        bench.give_back(model)
        (file,) = paths.adapter.glob("*.safetensors")
        return load_file(file), answers, run, paths

    return done


def answers_of(run, model, tokenizer):
    (result,) = score(run, model, tokenizer, [TASK], emit=lambda event: None)
    return [(sample.doc_id, sample.outcome, sample.answer, sample.output) for sample in result.samples]


def bench():
    return Workbench(torch.device("cpu"))


@pytest.mark.parametrize(
    "names",
    [("full", "prompt_tuning", "denselora"), pytest.param(tuple(SEQUENCE), marks=pytest.mark.slow)],
    ids=["three", "seven"],
)
def test_the_base_is_as_before_and_the_next_adapter_as_on_a_fresh_one(names, done, fresh_base, tiny):
    shared, ref = bench(), ModelRef(name=str(tiny), dtype="float32")
    untouched = fresh_base().state_dict()
    for name in names:
        weights, answers, *_ = done(shared, name, "shared")
        base, _ = shared.base(ref)
        assert all(torch.equal(value, untouched[key]) for key, value in base.state_dict().items()), name
        assert base.state_dict().keys() == untouched.keys()
        assert "forward" not in base.__dict__
        assert not base.is_gradient_checkpointing
        alone, alone_answers, *_ = done(bench(), name, "alone")
        assert alone.keys() == weights.keys()
        assert all(torch.equal(value, alone[key]) for key, value in weights.items()), name
        assert answers == alone_answers


def test_a_copy_of_a_base_that_was_trained_on_answers_with_its_own_weights(done, tiny):
    shared = bench()
    done(shared, "lora", "shared")
    base, _ = shared.base(ModelRef(name=str(tiny), dtype="float32"))
    other = copy.deepcopy(base)
    with torch.no_grad():
        other.lm_head.weight.zero_()
    ids = torch.arange(8)[None]
    assert not other(ids).logits.any()
    assert base(ids).logits.any()


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("dora", "float32"),
        ("lora", "bfloat16"),
        *(pytest.param(name, "float32", marks=pytest.mark.slow) for name in ("lora", "denselora", "full")),
        *(pytest.param(name, "bfloat16", marks=pytest.mark.slow) for name in ("dora", "denselora", "full")),
    ],
)
def test_the_model_in_memory_answers_as_the_saved_one_and_without_mixed_precision(done, name, dtype, tokenizer):
    seen = []

    def watch(model):
        model.get_submodule("lm_head" if name == "full" else "base_model.model.lm_head").register_forward_hook(
            lambda module, inputs, output: seen.append((torch.is_autocast_enabled("cpu"), output.dtype))
        )

    _, answers, run, paths = done(bench(), name, "memory", dtype, watch)
    assert set(seen) == {(False, getattr(torch, dtype))}

    base, _ = bench().base(run.model)
    assert answers_of(run, load_adapter(base, paths.adapter, run.adapter), tokenizer) == answers
