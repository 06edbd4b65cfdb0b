"""EVA: LoRA that begins with the main directions of its layers' inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.errors import RunError
from harness.paths import RunPaths
from harness.spec.run import AdapterRef, DataRef
from harness.store.records import TrainResult
from harness.train.adapter import load_adapter
from harness.train.rows import prepare
from harness.train.training import Stopped, train

from .runs import TARGETS, lora, run_of

RANK, IDS = 4, torch.arange(20)[None]
EVA = lora(r=RANK, init_lora_weights="eva", eva_config={"rho": 1.0}).model_copy(
    update={"trainer": "harness.train.eva:EvaTrainer"}
)
Fit = Callable[..., tuple[TrainResult, PeftModel]]


@pytest.fixture
def fit(
    data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> Fit:
    """Trains for 6 steps; `stop_after=n` asks it to stop after n."""

    def fit(
        ref: AdapterRef = EVA, stop_after: int | None = None, into: RunPaths = paths, rate: float = 1e-2
    ) -> tuple[TrainResult, PeftModel]:
        step, run = count(1), run_of(data, ref, learning_rate=rate)
        stop = lambda: next(step) == stop_after  # noqa: E731
        return train(run, into, fresh_base(), tokenizer, emit=lambda event: None, should_stop=stop)

    return fit


def layer_inputs(base: PreTrainedModel, data: DataRef, tokenizer: PreTrainedTokenizerBase) -> dict[str, torch.Tensor]:
    """What every adapted layer of the base gets on the training rows, centred, (tokens, features)."""
    run, found = run_of(data), {}
    for name, module in base.named_modules():
        if name.rpartition(".")[2] in TARGETS:
            module.register_forward_hook(lambda _, args, __, key=name: found.setdefault(key, []).append(args[0][0]))
    with torch.no_grad():
        for row in prepare(run.data, run.prompt, run.train, run.seed, tokenizer).train:
            base(torch.tensor(row["input_ids"])[None])
    return {name: (rows := torch.cat(parts)) - rows.mean(0) for name, parts in found.items()}


def test_a_begins_with_the_directions_in_which_the_inputs_vary_most(
    fit: Fit, data: DataRef, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    _, model = fit(rate=1e-12)
    weights = dict(model.named_parameters())
    for name, inputs in layer_inputs(base, data, tokenizer).items():
        a = weights[f"base_model.model.{name}.lora_A.default.weight"].detach()
        torch.testing.assert_close(a @ a.T, torch.eye(RANK), rtol=0, atol=1e-4)
        most = (torch.linalg.svdvals(inputs)[:RANK] ** 2).sum()
        assert ((inputs @ a.T) ** 2).sum() > 0.9 * most, name
        assert weights[f"base_model.model.{name}.lora_B.default.weight"].abs().max() < 1e-9


def test_it_learns_and_the_saved_adapter_answers_as_the_trained_one(
    fit: Fit, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    result, model = fit()
    losses = [line["loss"] for line in result.loss if "loss" in line]
    assert losses[-1] < losses[0]
    assert torch.equal(model(IDS).logits, load_adapter(fresh_base(), paths.adapter, EVA)(IDS).logits)


def test_a_stopped_training_resumes_to_bit_identical_weights(fit: Fit, paths: RunPaths) -> None:
    _, model = fit(into=replace(paths, root=paths.root / "other"))
    with pytest.raises(Stopped):
        fit(stop_after=3)
    resumed, again = fit()
    assert resumed.provenance["resumed_from"] == 3
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_rank_that_the_training_rows_can_not_fill_is_a_config_failure(fit: Fit) -> None:
    ref = EVA.model_copy(update={"config": {**EVA.config, "r": 4000}})
    with pytest.raises(RunError, match="fewer than 8000 tokens that count") as it:
        fit(ref)
    assert it.value.kind == "config"
