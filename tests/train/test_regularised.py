"""KaSA, MonteCLoRA and VeLoRA: what they need beside PEFT's layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.paths import RunPaths
from harness.spec.run import AdapterRef, DataRef
from harness.store.records import TrainResult
from harness.train.adapter import attach, count_parameters, counted, load_adapter
from harness.train.training import Stopped, train

from .runs import adapter, first_fast, lora, run_of

RANK, SAMPLES, IDS = 4, 3, torch.arange(20)[None]
Fit = Callable[..., tuple[TrainResult, PeftModel]]


def kasa(beta: float = 0.0, gamma: float = 0.0) -> AdapterRef:
    ref = lora(r=RANK, lora_dropout=0.0, kasa_config={"beta": beta, "gamma": gamma})
    return ref.model_copy(update={"trainer": "harness.train.regularised:KasaTrainer"})


def monteclora(weight: float = 1e-5) -> AdapterRef:
    settings = {"num_samples": SAMPLES, "kl_loss_weight": weight, "sample_scaler": 1e-2, "buffer_size": 1}
    ref = adapter(
        "monteclora",
        "harness.tuners.monteclora:MonteCloraConfig",
        r=RANK,
        target_modules=["q_proj", "v_proj"],
        monteclora_config=settings,
    )
    return ref.model_copy(update={"trainer": "harness.train.regularised:MonteCloraTrainer"})


def velora(projection: str = "batch_average_once") -> AdapterRef:
    ref = lora(lora_dropout=0.0, velora_config={"num_groups": 8, "init_type": projection})
    return ref.model_copy(update={"callbacks": ({"class": "harness.train.velora:KeepProjections", "args": {}},)})


METHODS = {"kasa": kasa(1e-2, 1e-2), "monteclora": monteclora(), "velora": velora()}


@pytest.fixture
def fit(
    data: DataRef, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> Fit:
    """Trains a method for 8 steps; `stop_after=n` asks it to stop after n."""

    def fit(
        ref: AdapterRef, stop_after: int | None = None, into: RunPaths = paths, micro: int | None = None
    ) -> tuple[TrainResult, PeftModel]:
        step, run = count(1), run_of(data, ref, steps=8, micro_batch_size=micro)
        stop = lambda: next(step) == stop_after  # noqa: E731
        return train(run, into, fresh_base(), tokenizer, emit=lambda event: None, should_stop=stop)

    return fit


def first_loss(result: TrainResult) -> float:
    return next(line["loss"] for line in result.loss if "loss" in line)


@pytest.mark.parametrize("method", first_fast(METHODS))
def test_a_stopped_training_resumes_to_bit_identical_weights(method: str, fit: Fit, paths: RunPaths) -> None:
    straight, model = fit(METHODS[method], into=replace(paths, root=paths.root / "other"))
    with pytest.raises(Stopped):
        fit(METHODS[method], stop_after=3)
    resumed, again = fit(METHODS[method])
    assert resumed.provenance["resumed_from"] == 3
    assert [line.get("loss") for line in resumed.loss] == [line.get("loss") for line in straight.loss]
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_the_saved_adapter_answers_as_the_trained_one(
    method: str, fit: Fit, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    _, model = fit(METHODS[method])
    assert torch.equal(model(IDS).logits, load_adapter(fresh_base(), paths.adapter, METHODS[method])(IDS).logits)


def test_kasas_regularisers_count_once_a_step_whatever_the_micro_batch(
    fit: Fit, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    values = {name: value.detach() for name, value in attach(fresh_base(), kasa(), 8, seed=0).named_parameters()}
    beta, gamma, expected = 0.5, 0.25, 0.0
    for name, value in values.items():
        if "lora_diag" in name:
            expected += beta * float((value**2).sum())
        elif "lora_A" in name:
            expected += gamma * float((value @ value.T - torch.eye(RANK)).norm())
        elif "lora_B" in name:
            expected += gamma * float((value.T @ value - torch.eye(RANK)).norm())
    plain = first_loss(fit(kasa())[0])
    assert first_loss(fit(kasa(beta, gamma))[0]) - plain == pytest.approx(expected, rel=1e-3)
    assert first_loss(fit(kasa(beta, gamma), micro=1)[0]) - plain == pytest.approx(expected, rel=1e-2)


def test_montecloras_divergence_is_in_the_loss(fit: Fit) -> None:
    plain, heavy = (first_loss(fit(monteclora(weight))[0]) for weight in (0.0, 1.0))
    # Of Gaussian and Wishart alone: a positive distance from their priors.
    assert heavy > plain + 0.1


def test_montecloras_samplers_are_counted_with_and_without_weights(base: PreTrainedModel) -> None:
    layers, config = 4, base.config.to_dict()
    plain = lora(r=RANK, target_modules=["q_proj", "v_proj"])
    expected = count_parameters(config, plain).trainable + layers * (RANK + SAMPLES)
    assert count_parameters(config, monteclora()).trainable == expected
    size = base.num_parameters()
    assert counted(attach(base, monteclora(), 8, seed=0), size).trainable == expected


def test_monteclora_draws_new_samples_for_every_pass(base: PreTrainedModel) -> None:
    model = attach(base, monteclora(), 8, seed=0).train()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.ones_(parameter)
    passes = [model(IDS).logits for _ in range(2)]
    assert not torch.allclose(*passes)
    assert torch.equal(*(model.eval()(IDS).logits for _ in range(2)))


def test_velora_takes_its_projection_from_the_first_batch_and_keeps_it(fit: Fit) -> None:
    def projections(model: PeftModel) -> list[torch.Tensor]:
        return [value for name, value in model.named_buffers() if "lora_velora_embed" in name]

    once, always = (projections(fit(velora(how))[1]) for how in ("batch_average_once", "batch_average"))
    assert all(value.norm() == pytest.approx(1, abs=1e-4) for value in once)
    assert any(not torch.equal(first, last) for first, last in zip(once, always, strict=True))
