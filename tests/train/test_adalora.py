"""AdaLoRA under the harness's trainer: it prunes, and its regulariser counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.paths import RunPaths
from harness.spec.run import AdapterRef, DataRef
from harness.store.records import TrainResult
from harness.train.adapter import load_adapter
from harness.train.training import Stopped, train

from .runs import adapter, run_of

MODULES, INIT_R, TARGET_R = 4, 6, 2


def adalora(weight: float = 0.5) -> AdapterRef:
    ref = adapter(
        "adalora",
        "peft:AdaLoraConfig",
        init_r=INIT_R,
        target_r=TARGET_R,
        lora_alpha=8,
        tinit="0.1steps",
        tfinal="0.3steps",
        deltaT=1,
        total_step="steps",
        orth_reg_weight=weight,
        target_modules=["q_proj", "v_proj"],
    )
    budget = {"class": "harness.train.adalora:AllocateBudget", "args": {}}
    return ref.model_copy(update={"callbacks": (budget,), "trainer": "harness.train.adalora:AdaLoraTrainer"})


def fit(
    ref: AdapterRef, data: DataRef, paths: RunPaths, base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase,
    *, stop: bool = False, **settings: float,
) -> tuple[TrainResult, PreTrainedModel]:  # fmt: skip
    run = run_of(data, ref, steps=20, **settings)
    return train(run, paths, base, tokenizer, emit=lambda event: None, should_stop=lambda: stop)


def test_the_ranks_are_pruned_to_the_budget(
    data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> None:
    result, _ = fit(adalora(), data, paths, fresh_base(), tokenizer)
    pattern = result.provenance["peft_config"]["rank_pattern"]
    assert sum(sum(kept) for kept in pattern.values()) == MODULES * TARGET_R
    weights = load_file(paths.adapter / "adapter_model.safetensors")
    assert sum(len(value) for name, value in weights.items() if "lora_E" in name) == MODULES * TARGET_R
    assert result.trainable_params == sum(
        INIT_R * (1 + rows + 32) for name, rows in {"q": 32, "v": 16}.items() for _ in range(2)
    )


def test_the_saved_adapter_answers_as_the_trained_one(
    data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> None:
    _, model = fit(adalora(), data, paths, fresh_base(), tokenizer)
    ids = torch.arange(20)[None]
    torch.testing.assert_close(model(ids).logits, load_adapter(fresh_base(), paths.adapter, adalora())(ids).logits)


def test_the_regulariser_counts_and_once_a_step_whatever_the_micro_batch(
    data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> None:
    def first_loss(weight: float, micro_batch_size: int | None = None) -> float:
        result, _ = fit(
            adalora(weight), data, paths, fresh_base(), tokenizer, micro_batch_size=micro_batch_size, max_length=64
        )
        return result.loss[0]["loss"]

    plain, default, heavy = (first_loss(weight) for weight in (0.0, 0.5, 50.0))
    assert default > plain + 0.1
    assert heavy - plain == pytest.approx(100 * (default - plain), rel=1e-3)
    assert first_loss(50.0, micro_batch_size=1) == pytest.approx(heavy, rel=1e-4)


def test_a_stopped_training_starts_again(
    data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(Stopped):
        fit(adalora(), data, paths, fresh_base(), tokenizer, stop=True)
    result, _ = fit(adalora(), data, paths, fresh_base(), tokenizer)
    assert result.provenance["resumed_from"] is None
    assert result.steps == 20


def test_the_best_checkpoint_can_not_be_had_and_the_last_is_said_to_be_used(
    data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> None:
    data = data.model_copy(update={"validation": 4})
    result, _ = fit(adalora(), data, paths, fresh_base(), tokenizer, checkpoint="best", eval_steps=5)
    assert result.provenance["checkpoint"] == "last"
