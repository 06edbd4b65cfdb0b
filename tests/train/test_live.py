"""Whatever would let another model be scored than the one that was trained is found out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.errors import RunError
from harness.train.adapter import attach, detach, load_adapter
from harness.train.fingerprint import WIDTH, WORD, fingerprints, weights_fingerprint
from harness.train.live import Guard, prove_same, prove_sound, saved_fingerprint
from harness.train.saving import save_weights
from harness.train.training import train

from .runs import METHODS, adapter, lora, run_of

STARTED = lora(init_lora_weights=False)
"""An adapter that acts before it is trained."""
ROW = WIDTH * WORD // 4
"""Values of float32 in a row that is summed."""


def of(values):
    return fingerprints([("weight", values)])["weight"]


def test_the_smallest_change_of_any_one_value_changes_the_fingerprint():
    values = torch.randn(3 * ROW + 5, generator=torch.Generator().manual_seed(0))
    before = of(values)
    for index in (0, 1, ROW - 1, ROW, 2 * ROW + 7, 3 * ROW - 1, 3 * ROW, 3 * ROW + 4):
        changed = values.clone()
        changed.view(torch.int32)[index] ^= 1
        assert of(changed) != before
    assert of(values.clone()) == before


@pytest.mark.parametrize("distance", [2, ROW, ROW + 2], ids=["within a row", "within a column", "across"])
def test_values_that_changed_places_change_the_fingerprint(distance):
    values = torch.randn(4 * ROW, generator=torch.Generator().manual_seed(0))
    swapped = values.clone()
    swapped[[0, distance]] = values[[distance, 0]]
    assert swapped.double().sum() == values.double().sum()
    assert of(swapped) != of(values)


def test_shape_and_type_count_and_memory_layout_does_not():
    values = torch.arange(64, dtype=torch.float32).reshape(8, 8)
    assert of(values.reshape(4, 16)) != of(values)
    assert of(torch.zeros(4)) != of(torch.zeros(4, dtype=torch.int32))
    assert of(values.t()) == of(values.t().contiguous())
    assert of(torch.arange(65, dtype=torch.float32)[1:]) == of(torch.arange(1, 65, dtype=torch.float32))
    assert of(torch.tensor(2.0)) != of(torch.tensor(3.0))


def test_one_value_of_the_base_is_enough_to_be_found_out(fresh_base, tokenizer):
    model = attach(fresh_base(), STARTED, 10, seed=0).eval()
    guard = Guard(model, tokenizer)
    guard.prove()
    with torch.no_grad():
        model.get_base_model().model.layers[1].mlp.down_proj.base_layer.weight[3, 5] *= 1.0001
    with pytest.raises(RunError, match="weights changed after the training") as it:
        guard.hold()
    assert it.value.kind == "internal"


def test_an_adapter_that_is_switched_off_is_found_out(fresh_base, tokenizer):
    model = attach(fresh_base(), STARTED, 10, seed=0).eval()
    guard = Guard(model, tokenizer)
    model.base_model.disable_adapter_layers()
    with pytest.raises(RunError, match="the adapter changes nothing"):
        guard.hold()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_found_out(value, base):
    model = attach(base, STARTED, 10, seed=0).eval()
    prove_sound(model)
    with torch.no_grad():
        model.get_base_model().model.layers[0].self_attn.q_proj.lora_A["default"].weight[0, 0] = value
    with pytest.raises(RunError, match=r"q_proj.*no numbers") as it:
        prove_sound(model)
    assert it.value.kind == "internal"


def test_an_adapter_of_zeros_is_found_out(base):
    model = attach(base, lora(), 10, seed=0).eval()
    prove_sound(model)  # half of it is zeros, as it is initialised
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.zero_()
    with pytest.raises(RunError, match="nothing but zeros"):
        prove_sound(model)


class Idle(torch.optim.Optimizer):
    """Steps that change nothing."""

    def __init__(self, params):
        super().__init__(params, {"lr": 1.0})

    def step(self, closure=None):
        return None if closure is None else closure()


def idle(model, run):
    """An optimizer factory, as a method names one."""
    return Idle([weight for weight in model.parameters() if weight.requires_grad])


def test_a_training_that_changed_nothing_is_found_out_and_leaves_no_adapter(base, data, paths, tokenizer):
    run = run_of(data, STARTED.model_copy(update={"optimizer": f"{__name__}:idle"}), steps=2)
    with pytest.raises(RunError, match="training changed nothing") as it:
        train(run, paths, base, tokenizer, emit=lambda event: None, should_stop=lambda: False)
    assert it.value.kind == "internal"
    assert not paths.adapter.exists()


def test_a_method_that_keeps_some_of_its_weights_is_no_fault(base, data, paths, tokenizer):
    frozen = METHODS["lora"].model_copy(update={"optimizer": f"{__name__}:only_b"})
    started = attach(base, frozen, 10, seed=0)
    before = first_a(started)
    detach(base, started)
    run = run_of(data, frozen, steps=2)
    _, model = train(run, paths, base, tokenizer, emit=lambda event: None, should_stop=lambda: False)
    assert torch.equal(first_a(model), before)


def first_a(model):
    return model.get_base_model().model.layers[0].self_attn.q_proj.lora_A["default"].weight.detach().clone()


def only_b(model, run):
    """An optimizer factory that leaves half of an adapter as it is."""
    return torch.optim.SGD([w for name, w in model.named_parameters() if "lora_B" in name], lr=0.1)


@pytest.mark.parametrize("method", [*METHODS, "prompt_tuning"])
def test_another_adapter_than_the_one_that_was_saved_is_found_out(method, fresh_base, tokenizer, tmp_path):
    soft = adapter("prompt_tuning", "peft:PromptTuningConfig", num_virtual_tokens=4)
    ref = METHODS.get(method, soft)
    saved = {}
    for seed in (0, 1):
        model = attach(fresh_base(), ref, 10, seed=seed).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight))
        saved[seed] = saved_fingerprint(model)
        save_weights(model, tokenizer, tmp_path / str(seed))
    prove_same(load_adapter(fresh_base(), tmp_path / "0", ref), saved[0])
    prove_same(load_adapter(fresh_base(), tmp_path / "0", ref), None)
    with pytest.raises(RunError, match="not those that were trained"):
        prove_same(load_adapter(fresh_base(), tmp_path / "1", ref), saved[0])
    with pytest.raises(RunError, match="not those that were trained"):
        prove_same(attach(fresh_base(), ref, 10, seed=0).eval(), saved[0])


def test_a_model_in_half_precision_and_its_buffers_have_a_fingerprint():
    model = nn.BatchNorm1d(3).to(torch.bfloat16)
    before = weights_fingerprint(model)
    model.running_mean[1] += 1
    assert weights_fingerprint(model) != before
