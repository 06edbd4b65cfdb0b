"""Adapters that begin with a decomposition of the base's weights, most of which change the base itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.paths import RunPaths
from harness.pipeline.workbench import Workbench
from harness.spec.run import AdapterRef, DataRef, ModelRef
from harness.store.records import TrainResult
from harness.train.adapter import attach, load_adapter
from harness.train.fingerprint import weights_fingerprint
from harness.train.training import Stopped, train

from .runs import TARGETS, first_fast, lora, run_of

IDS = torch.arange(20)[None]
CHANGING = {
    "pissa": lora(init_lora_weights="pissa", lora_dropout=0.0),
    "olora": lora(init_lora_weights="olora"),
    "kasa": lora(kasa_config={"beta": 1e-4, "gamma": 1e-3}).model_copy(
        update={"trainer": "harness.train.regularised:KasaTrainer"}
    ),
}
METHODS = {**CHANGING, "mica": lora(init_lora_weights="mica")}
Fit = Callable[..., tuple[TrainResult, PeftModel]]


@pytest.fixture
def fit(data: DataRef, paths: RunPaths, tokenizer: PreTrainedTokenizerBase) -> Fit:
    """Trains a method on a base; `stop_after=n` asks it to stop after n steps."""

    def fit(
        ref: AdapterRef, base: PreTrainedModel, stop_after: int | None = None, into: RunPaths = paths
    ) -> tuple[TrainResult, PeftModel]:
        step, run = count(1), run_of(data, ref, steps=10)
        return train(run, into, base, tokenizer, emit=lambda event: None, should_stop=lambda: next(step) == stop_after)

    return fit


def adapted(base: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {
        name: module.weight.detach().clone()
        for name, module in base.named_modules()
        if name.rpartition(".")[2] in TARGETS
    }


def residual(model: PeftModel) -> dict[str, torch.Tensor]:
    """What the adapter left of each adapted weight, by its name in the bare base."""
    layers = dict(model.base_model.model.named_modules())
    return {name: layers[name].base_layer.weight.detach() for name in layers if name.rpartition(".")[2] in TARGETS}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("method", METHODS)
def test_a_fresh_process_would_answer_as_the_trained_model(
    method: str, dtype: torch.dtype, fit: Fit, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    result, model = fit(METHODS[method], fresh_base().to(dtype))
    losses = [line["loss"] for line in result.loss if "loss" in line]
    assert losses[-1] < losses[0]
    torch.manual_seed(99)
    loaded = load_adapter(fresh_base().to(dtype), paths.adapter, METHODS[method])
    assert torch.equal(model(IDS).logits, loaded(IDS).logits)


@pytest.mark.parametrize("method", first_fast(METHODS))
def test_a_stopped_training_resumes_on_the_original_base(
    method: str, fit: Fit, paths: RunPaths, fresh_base: Callable[[], PreTrainedModel]
) -> None:
    _, model = fit(METHODS[method], fresh_base(), into=replace(paths, root=paths.root / "other"))
    with pytest.raises(Stopped):
        fit(METHODS[method], fresh_base(), stop_after=4)
    resumed, again = fit(METHODS[method], fresh_base())
    assert resumed.provenance["resumed_from"] == 4
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("method", ["pissa", "olora", "mica"])
def test_the_start_is_the_base(method: str, fresh_base: Callable[[], PreTrainedModel]) -> None:
    base = fresh_base()
    expected = base(IDS).logits
    torch.testing.assert_close(
        attach(base, METHODS[method], 10, seed=0).eval()(IDS).logits, expected, rtol=1e-4, atol=1e-5
    )


def test_pissa_trains_the_principal_part_and_kasa_drops_the_smallest(
    fresh_base: Callable[[], PreTrainedModel],
) -> None:
    weights = adapted(fresh_base())
    left = {method: residual(attach(fresh_base(), METHODS[method], 10, seed=0)) for method in ("pissa", "kasa")}
    for name, weight in weights.items():
        values = torch.linalg.svdvals(weight)
        torch.testing.assert_close(torch.linalg.svdvals(left["pissa"][name])[:-4], values[4:], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(torch.linalg.svdvals(left["kasa"][name])[:-4], values[:-4], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", first_fast(CHANGING))
def test_a_worker_loads_the_base_anew_for_the_next_run(
    method: str, fit: Fit, fresh_base: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("harness.train.base_model.load_base", lambda ref, device: (fresh_base(), tokenizer))
    bench, before = Workbench(torch.device("cpu")), weights_fingerprint(fresh_base())
    base: Any = bench.base(ModelRef(name="tiny"))[0]
    bench.give_back(fit(CHANGING[method], base)[1])
    assert weights_fingerprint(base) != before
    following: Any = bench.base(ModelRef(name="tiny"))[0]
    assert following is not base
    assert weights_fingerprint(following) == before
