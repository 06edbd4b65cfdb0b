"""Prompts and LLaMA-Adapter go on from a checkpoint exactly, and may keep the best one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from harness.errors import RunError
from harness.paths import RunPaths
from harness.spec.run import DataRef
from harness.store.records import TrainResult
from harness.train.adapter import detach, load_adapter
from harness.train.fingerprint import weights_fingerprint
from harness.train.live import prove_live
from harness.train.state import STATE
from harness.train.training import Stopped

from .runs import adapter, lora, run_of

SOFT = {"num_virtual_tokens": 4}
METHODS = {
    "prompt_tuning": adapter("prompt_tuning", "peft:PromptTuningConfig", prompt_tuning_init="SAMPLE_VOCAB", **SOFT),
    "prefix_tuning": adapter("prefix_tuning", "peft:PrefixTuningConfig", **SOFT),
    "projected_prefix": adapter(
        "prefix_tuning", "peft:PrefixTuningConfig", prefix_projection=True, encoder_hidden_size=8, **SOFT
    ),
    "p_tuning": adapter("p_tuning", "peft:PromptEncoderConfig", encoder_hidden_size=8, **SOFT),
    "p_tuning_lstm": adapter(
        "p_tuning", "peft:PromptEncoderConfig", encoder_reparameterization_type="LSTM", encoder_hidden_size=8,
        encoder_dropout=0.3, **SOFT
    ),
    "residual_prompt": adapter(
        "residual_prompt", "harness.tuners:ResidualPromptConfig", bottleneck_size=8, dropout=0.3, **SOFT
    ),
    "llama_adapter": adapter("llama_adapter", "harness.tuners:LlamaAdapterConfig", adapter_len=4, adapter_layers=2),
}  # fmt: skip
CACHED = {"prefix_tuning", "projected_prefix"}
COMPUTED = METHODS.keys() - {"llama_adapter"}

Fit = Callable[..., tuple[TrainResult, PeftModel]]
Make = Callable[[], PreTrainedModel]


def weights(model: PeftModel) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def losses(result: TrainResult) -> list[float]:
    return [line[key] for line in result.loss for key in ("loss", "eval_loss") if key in line]


@pytest.mark.parametrize(
    ("method", "checkpoint"),
    [
        ("prompt_tuning", "best"),
        ("p_tuning_lstm", "last"),
        *(pytest.param(method, "best", marks=pytest.mark.slow) for method in METHODS if method != "prompt_tuning"),
    ],
)
def test_a_stopped_training_resumes_to_bit_identical_weights(
    method: str, checkpoint: str, fit: Fit, data: DataRef, paths: RunPaths, fresh_base: Make
) -> None:
    data = data.model_copy(update={"validation": 2})
    run = run_of(data, METHODS[method], eval_steps=2, checkpoint=checkpoint, steps=4, batch_size=2)
    straight, model = fit(run)
    with pytest.raises(Stopped):
        fit(run, stop_after=3)
    assert (paths.checkpoints / "checkpoint-3" / STATE).exists() == (method in COMPUTED)
    resumed, again = fit(run)
    assert (straight.provenance["resumed_from"], resumed.provenance["resumed_from"]) == (None, 3)
    assert resumed.provenance["checkpoint"] == checkpoint
    assert same(weights(model), weights(again))
    assert losses(straight) == losses(resumed)
    ids = torch.arange(20)[None]
    loaded = load_adapter(fresh_base(), paths.adapter, METHODS[method])
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, rtol=1e-5, atol=1e-6)


class Unlearn(TrainerCallback):
    """Turns all that was learnt around after a given step."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_train_begin(self, args: Any, state: Any, control: Any, model: PeftModel, **kwargs: Any) -> None:
        self.start = weights(model)

    def on_step_end(self, args: Any, state: Any, control: Any, model: PeftModel, **kwargs: Any) -> None:
        if state.global_step == self.after:
            for name, weight in model.named_parameters():
                if weight.requires_grad:
                    weight.data = 2 * self.start[name] - weight.data


@pytest.mark.parametrize("method", ["prompt_tuning", "projected_prefix", "p_tuning", "residual_prompt"])
def test_the_best_checkpoint_of_a_prompt_is_put_back(method: str, fit: Fit, data: DataRef) -> None:
    data = data.model_copy(update={"validation": 4})
    unlearn = {"class": f"{__name__}:Unlearn", "args": {"after": 4}}
    spoilt = METHODS[method].model_copy(update={"callbacks": (unlearn,)})
    result, model = fit(run_of(data, spoilt, steps=4, checkpoint="best", eval_steps=2, lr_scheduler="constant"))
    assert (result.provenance["checkpoint"], result.provenance["checkpoint_step"]) == ("best", 2)
    _, early = fit(run_of(data, METHODS[method], steps=2, lr_scheduler="constant"))
    assert same(weights(model), weights(early))


def test_a_checkpoint_without_the_trained_state_is_not_resumed_from(fit: Fit, data: DataRef, paths: RunPaths) -> None:
    run = run_of(data, METHODS["p_tuning"])
    with pytest.raises(Stopped):
        fit(run, stop_after=3)
    (paths.checkpoints / "checkpoint-3" / STATE).unlink()
    assert fit(run)[0].provenance["resumed_from"] is None


def test_a_trained_state_of_other_parameters_is_refused(fit: Fit, data: DataRef) -> None:
    with pytest.raises(Stopped):
        fit(run_of(data, METHODS["p_tuning"]), stop_after=3)
    with pytest.raises(RunError, match="holds other parameters than the model trains"):
        fit(run_of(data, METHODS["prompt_tuning"]))


def test_a_saved_adapter_holds_the_prompt_and_not_what_made_it(fit: Fit, data: DataRef, paths: RunPaths) -> None:
    for method, shape in {"prompt_tuning": (4, 32), "p_tuning": (4, 32), "residual_prompt": (4, 32)}.items():
        fit(run_of(data, METHODS[method]))
        saved = load_file(paths.adapter / "adapter_model.safetensors")
        assert {name: tuple(value.shape) for name, value in saved.items()} == {"prompt_embeddings": shape}
        assert not (paths.adapter / STATE).exists()


@pytest.mark.parametrize("method", METHODS)
def test_gradient_checkpointing_is_off_only_where_the_prompt_is_a_cache_and_the_base_comes_back_as_it_was(
    method: str, fit: Fit, data: DataRef, fresh_base: Make, tokenizer: PreTrainedTokenizerBase
) -> None:
    result, model = fit(run_of(data, METHODS[method], steps=2, batch_size=2, gradient_checkpointing=True))
    assert result.provenance["gradient_checkpointing"] is (method not in CACHED)
    prove_live(model, tokenizer)
    base, ids = model.get_base_model(), torch.arange(20)[None]
    detach(base, model)
    assert weights_fingerprint(base) == weights_fingerprint(fresh_base())
    assert torch.equal(base(ids).logits, fresh_base()(ids).logits)


@pytest.mark.parametrize("method", ["p_tuning", "residual_prompt", "llama_adapter"])
def test_gradient_checkpointing_changes_no_weight(method: str, fit: Fit, data: DataRef) -> None:
    (plain, model), (asked, again) = (
        fit(run_of(data, METHODS[method], steps=2, batch_size=2, gradient_checkpointing=on)) for on in (False, True)
    )
    assert (plain.provenance["gradient_checkpointing"], asked.provenance["gradient_checkpointing"]) == (False, True)
    for name, weight in weights(model).items():
        torch.testing.assert_close(weight, weights(again)[name])


@pytest.mark.parametrize("loss_on", ["all", "completion"])
def test_llama_adapter_is_trained_with_the_loss_of_every_other_method(loss_on: str, fit: Fit, data: DataRef) -> None:
    (plain, _), (adapted, _) = (
        fit(run_of(data, ref, steps=3, loss_on=loss_on)) for ref in (lora(lora_dropout=0.0), METHODS["llama_adapter"])
    )
    # Both start as the base, so that the first loss is the base's.
    assert losses(adapted)[0] == pytest.approx(losses(plain)[0], rel=1e-6)
    assert losses(adapted)[1:] != losses(plain)[1:]
