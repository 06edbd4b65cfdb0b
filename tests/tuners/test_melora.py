"""MELoRA computes, counts and ranks as its paper says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import get_peft_model
from transformers import AutoModelForCausalLM

from harness.tuners import MeLoraConfig

from .formula import LARGE, LLAMA_3_8B, QKVUD, SMALL, assert_computes


def config(**arguments: Any) -> MeLoraConfig:
    return MeLoraConfig(**{"r": 4, "alpha": 12, "target_modules": QKVUD, "task_type": "CAUSAL_LM", **arguments})


def change(A: torch.Tensor, B: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Mini LoRA i maps the i-th part of the input to the i-th part of the output."""
    n, _, inputs = A.shape
    parts = [x[..., i * inputs : (i + 1) * inputs] @ A[i].T @ B[i].T for i in range(n)]
    return torch.cat(parts, dim=-1)


@pytest.mark.parametrize("n", [1, 2, 4, 16])
@pytest.mark.parametrize("name", ["q_proj", "k_proj", "up_proj", "down_proj"])
def test_layer_computes_the_papers_formula_and_its_gradients(llama, name, n):
    model = get_peft_model(llama, config(n=n, init_weights=False)).eval().double()
    block = model.model.model.layers[1]
    layer = getattr(block.self_attn if name in ("q_proj", "k_proj") else block.mlp, name)
    A, B = layer.melora_A["default"], layer.melora_B["default"]
    outputs, inputs = layer.base_layer.weight.shape
    assert [A.shape, B.shape] == [(n, 4, inputs // n), (n, outputs // n, 4)]
    x = torch.randn(2, 5, inputs, dtype=torch.float64, requires_grad=True)
    expected = torch.einsum("oi,bsi->bso", layer.base_layer.weight, x) + 12 / 4 * change(A, B, x)
    assert_computes(layer, x, [A, B], expected)


def test_conv1d_computes_the_same_formula(gpt2):
    model = get_peft_model(gpt2, config(n=4, target_modules=["c_fc"], init_weights=False)).eval().double()
    layer = model.model.transformer.h[0].mlp.c_fc
    A, B = layer.melora_A["default"], layer.melora_B["default"]
    assert [A.shape, B.shape] == [(4, 4, 8), (4, 32, 4)]
    x = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    base = torch.einsum("io,bsi->bso", layer.base_layer.weight, x) + layer.base_layer.bias
    assert_computes(layer, x, [A, B], base + 3 * change(A, B, x))


@pytest.mark.parametrize(("n", "r"), [(1, 2), (4, 2), (8, 3)])
def test_rank_of_the_change_is_n_times_r(llama, n, r):
    layer = get_peft_model(llama, config(n=n, r=r, init_weights=False)).double().model.model.layers[0].mlp.up_proj
    delta = layer.get_delta_weight("default")
    assert torch.linalg.matrix_rank(delta) == n * r
    blocks = torch.block_diag(*[torch.ones(48 // n, 32 // n)] * n).bool()
    assert delta[~blocks].count_nonzero() == 0
    assert delta[blocks].count_nonzero() == blocks.sum()


@pytest.mark.parametrize(("model", "sizes", "layers"), [("small", SMALL, 3), ("large", LARGE, 32)])
@pytest.mark.parametrize(("r", "n"), [(1, 8), (16, 4), (16, 1)])
def test_trains_as_many_parameters_as_one_lora_of_the_mini_rank(llama, model, sizes, layers, r, n):
    """n (r in / n + out / n r) = r (in + out) a layer (paper, section 3.2)."""
    if model == "large":
        with torch.device("meta"):
            llama = AutoModelForCausalLM.from_config(LLAMA_3_8B)
    trained = get_peft_model(llama, config(r=r, n=n)).get_nb_trainable_parameters()[0]
    assert trained == layers * sum(n * (r * (inputs // n) + (outputs // n) * r) for inputs, outputs in sizes)
    assert trained == layers * sum(r * (inputs + outputs) for inputs, outputs in sizes)


def test_each_mini_lora_starts_as_a_lora_on_its_own_inputs(llama):
    torch.manual_seed(0)
    layer = get_peft_model(llama, config(r=64, n=4)).model.model.layers[0].mlp.up_proj
    for mini in layer.melora_A["default"]:
        assert 0.95 / 8**0.5 < mini.abs().max() <= 1 / 8**0.5
        assert mini.var().item() == pytest.approx(1 / 8 / 3, rel=0.15)
    assert layer.melora_B["default"].count_nonzero() == 0


@pytest.mark.parametrize(("n", "name", "inputs", "outputs"), [(3, "q_proj", 32, 32), (32, "k_proj", 32, 16)])
def test_sizes_that_n_does_not_divide_are_refused_before_the_model_is_changed(llama, n, name, inputs, outputs):
    before = [(name, type(module)) for name, module in llama.named_modules()]
    message = rf"n={n} can't adapt '[\w.]+{name}', which has {inputs} inputs and {outputs} outputs.*must divide"
    with pytest.raises(ValueError, match=message):
        get_peft_model(llama, config(n=n))
    assert before == [(name, type(module)) for name, module in llama.named_modules()]


@pytest.mark.parametrize("n", [0, 1.5])
def test_number_of_mini_loras_that_can_not_be_is_refused(n):
    with pytest.raises(ValueError, match=rf"`n` must be an integer of at least 1, got {n}"):
        config(n=n)
