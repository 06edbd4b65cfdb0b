"""Optimizers that belong to a method: LoRA+, LoRA-FA and Riemannian preconditioning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.errors import RunError
from harness.paths import RunPaths
from harness.spec.run import AdapterRef, DataRef, RunSpec
from harness.store.records import TrainResult
from harness.train import optimizers
from harness.train.adapter import attach, count_parameters, counted, load_adapter
from harness.train.training import Stopped, train

from .runs import TARGETS, adapter, first_fast, lora, run_of

RATE, DECAY, SCALING = 1e-3, 0.5, 2.0


def with_optimizer(name: str, config_class: str = "peft:LoraConfig", **args: Any) -> AdapterRef:
    ref = adapter(name, config_class, r=4, lora_alpha=8, lora_dropout=0.0, target_modules=TARGETS)
    return ref.model_copy(update={"optimizer": f"harness.train.optimizers:{name}", "optimizer_args": args})


METHODS = {
    "lora_plus": with_optimizer("lora_plus", ratio=16.0),
    "lora_fa": with_optimizer("lora_fa", "harness.tuners.lorafa:LoraFaConfig"),
    "riemannian": with_optimizer("riemannian", damping=0.01),
}
Fit = Callable[..., tuple[TrainResult, PeftModel]]


@pytest.fixture
def fit(
    data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> Fit:
    """Trains a method for 20 steps; `stop_after=n` asks it to stop after n."""

    def fit(ref: AdapterRef, stop_after: int | None = None, into: RunPaths = paths) -> tuple[TrainResult, PeftModel]:
        step = count(1)
        stop = lambda: next(step) == stop_after  # noqa: E731
        return train(
            run_of(data, ref, steps=20), into, fresh_base(), tokenizer, emit=lambda event: None, should_stop=stop
        )

    return fit


def drawn(ref: AdapterRef, base: PreTrainedModel, seed: int = 0) -> PeftModel:
    """The adapter with a B that is no longer zero."""
    model = attach(base, ref, 20, seed)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    return model


def settled(data: DataRef, ref: AdapterRef) -> RunSpec:
    return run_of(data, ref, learning_rate=RATE, weight_decay=DECAY)


def weights(model: PeftModel, part: str) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if part in name}


def with_gradients(model: PeftModel) -> dict[str, torch.Tensor]:
    """Gives what is trained a drawn gradient."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn_like(parameter)
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def first_adam_step(value: torch.Tensor, gradient: torch.Tensor, rate: float, eps: float = 1e-8) -> torch.Tensor:
    """AdamW's first step: its bias correction leaves the gradient and its square as they are."""
    return value * (1 - rate * DECAY) - rate * gradient / (gradient.abs() + eps)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_with_its_own_optimizer_learns_and_ends_elsewhere_than_lora(
    method: str, fit: Fit, paths: RunPaths
) -> None:
    fit(lora(lora_dropout=0.0))
    plain = load_file(paths.adapter / "adapter_model.safetensors")
    result, _ = fit(METHODS[method])
    own = load_file(paths.adapter / "adapter_model.safetensors")
    losses = [line["loss"] for line in result.loss if "loss" in line]
    assert sum(losses[-5:]) < sum(losses[:5])
    assert own.keys() == plain.keys()
    assert all(not torch.equal(own[name], plain[name]) for name in own if "lora_B" in name)
    assert result.provenance["optimizer"] == METHODS[method].optimizer


@pytest.mark.parametrize("method", first_fast(METHODS))
def test_a_stopped_training_resumes_with_its_optimizers_state(method: str, fit: Fit, paths: RunPaths) -> None:
    straight, model = fit(METHODS[method], into=replace(paths, root=paths.root / "other"))
    with pytest.raises(Stopped):
        fit(METHODS[method], stop_after=9)
    resumed, again = fit(METHODS[method])
    assert resumed.provenance["resumed_from"] == 9
    assert [line.get("loss") for line in resumed.loss] == [line.get("loss") for line in straight.loss]
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_lora_plus_steps_b_with_a_rate_that_is_the_ratio_times_as_and_the_schedule_scales_both(
    data: DataRef, base: PreTrainedModel
) -> None:
    model = drawn(METHODS["lora_plus"], base)
    optimizer = optimizers.lora_plus(model, settled(data, METHODS["lora_plus"]), ratio=16)
    schedule = LambdaLR(optimizer, lambda step: 0.5**step)
    for factor in (1.0, 0.5):
        before = {**weights(model, "lora_A"), **weights(model, "lora_B")}
        if factor == 1.0:
            gradients = with_gradients(model)
            expected = {
                name: first_adam_step(before[name], gradients[name], RATE * (16 if "lora_B" in name else 1))
                for name in before
            }
        optimizer.step()
        if factor == 1.0:
            torch.testing.assert_close({**weights(model, "lora_A"), **weights(model, "lora_B")}, expected)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert rates[id(parameter)] == pytest.approx(RATE * factor * (16 if "lora_B" in name else 1)), name
        schedule.step()


def test_lora_fa_leaves_a_as_it_was_drawn_and_counts_only_b(
    fit: Fit, fresh_base: Callable[[], PreTrainedModel], paths: RunPaths
) -> None:
    start = weights(attach(fresh_base(), METHODS["lora_fa"], 20, seed=0), "lora_A")
    result, model = fit(METHODS["lora_fa"])
    torch.testing.assert_close(weights(model, "lora_A"), start, rtol=0, atol=0)
    trained = weights(model, "lora_B")
    assert all(value.any() for value in trained.values())
    assert result.trainable_params == sum(value.numel() for value in trained.values())
    config = fresh_base().config.to_dict()
    assert count_parameters(config, METHODS["lora_fa"]).trainable == result.trainable_params
    ids = torch.arange(20)[None]
    assert torch.equal(load_adapter(fresh_base(), paths.adapter, lora())(ids).logits, model(ids).logits)


def test_lora_fa_steps_b_along_its_gradient_times_the_inverse_of_a_a_transposed(
    data: DataRef, base: PreTrainedModel
) -> None:
    model = drawn(METHODS["lora_fa"], base)
    optimizer = optimizers.lora_fa(model, settled(data, METHODS["lora_fa"]))
    gradients, before, down = with_gradients(model), weights(model, "lora_B"), weights(model, "lora_A")
    optimizer.step()
    for name, after in weights(model, "lora_B").items():
        a = down[name.replace("lora_B", "lora_A")]
        projected = gradients[name] @ torch.linalg.inv(a @ a.T) / SCALING**2
        stepped = before[name] - RATE * projected / (projected.abs() + 1e-6)
        # PEFT multiplies in bfloat16 where it can: a gradient near zero may change its sign.
        close = torch.isclose(after, stepped * (1 - RATE * DECAY), atol=RATE / 10)
        assert close.float().mean() > 0.95, name


def test_riemannian_preconditions_either_gradient_with_the_other_factor(data: DataRef, base: PreTrainedModel) -> None:
    model = drawn(METHODS["riemannian"], base)
    optimizer = optimizers.riemannian(model, settled(data, METHODS["riemannian"]), damping=0.01)
    gradients = with_gradients(model)
    down, up = weights(model, "lora_A"), weights(model, "lora_B")
    optimizer.step()
    damping = 0.01 * torch.eye(4)
    for name, a in down.items():
        other = name.replace("lora_A", "lora_B")
        b = up[other]
        towards_a = torch.linalg.inv(b.T @ b + damping) @ gradients[name]
        towards_b = gradients[other] @ torch.linalg.inv(a @ a.T + damping)
        after = dict(model.named_parameters())
        torch.testing.assert_close(after[name].data, first_adam_step(a, towards_a, RATE), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(after[other].data, first_adam_step(b, towards_b, RATE), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_another_optimizer_can_not_be_asked_for(method: str, data: DataRef, base: PreTrainedModel) -> None:
    ref = METHODS[method]
    model = attach(base, ref, 20, seed=0)
    assert counted(model, base.num_parameters()).trainable
    factory = getattr(optimizers, method)
    with pytest.raises(RunError, match="must be adamw, got adafactor") as it:
        factory(model, run_of(data, ref, optimizer="adafactor"), **ref.optimizer_args)
    assert it.value.kind == "config"
