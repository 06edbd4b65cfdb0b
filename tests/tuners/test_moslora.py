"""MoSLoRA computes and starts as its paper says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from harness.tuners import MosLoraConfig

from .formula import LARGE, LLAMA_3_8B, QKVUD, SMALL, assert_computes


def config(**arguments: Any) -> MosLoraConfig:
    return MosLoraConfig(**{"r": 4, "alpha": 12, "target_modules": QKVUD, "task_type": "CAUSAL_LM", **arguments})


@pytest.mark.parametrize("name", ["q_proj", "up_proj", "down_proj"])
def test_layer_computes_the_papers_formula_and_its_gradients(llama, name):
    model = get_peft_model(llama, config(init_weights=False)).eval().double()
    block = model.model.model.layers[1]
    layer = getattr(block.self_attn if name == "q_proj" else block.mlp, name)
    A, W, B = (getattr(layer, f"moslora_{part}")["default"] for part in ("A", "mixer", "B"))
    x = torch.randn(2, 5, A.shape[1], dtype=torch.float64, requires_grad=True)
    change = torch.einsum("oj,jk,ki,bsi->bso", B, W, A, x)
    expected = torch.einsum("oi,bsi->bso", layer.base_layer.weight, x) + 12 / 4 * change
    assert_computes(layer, x, [A, W, B], expected)


def test_conv1d_computes_the_same_formula(gpt2):
    model = get_peft_model(gpt2, config(target_modules=["c_fc"], init_weights=False)).eval().double()
    layer = model.model.transformer.h[0].mlp.c_fc
    A, W, B = (getattr(layer, f"moslora_{part}")["default"] for part in ("A", "mixer", "B"))
    assert [A.shape, W.shape, B.shape] == [(4, 32), (4, 4), (128, 4)]
    x = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    base = torch.einsum("io,bsi->bso", layer.base_layer.weight, x) + layer.base_layer.bias
    assert_computes(layer, x, [A, W, B], base + 3 * torch.einsum("oj,jk,ki,bsi->bso", B, W, A, x))


def test_every_pair_of_subspaces_is_mixed(llama):
    """The change is the sum over all j and k of W_jk times the outer product of B's column j and A's row k."""
    layer = get_peft_model(llama, config(init_weights=False)).double().model.model.layers[0].mlp.up_proj
    A, W, B = (getattr(layer, f"moslora_{part}")["default"] for part in ("A", "mixer", "B"))
    expected = sum(3 * W[j, k] * torch.outer(B[:, j], A[k]) for j in range(4) for k in range(4))
    torch.testing.assert_close(layer.get_delta_weight("default"), expected, rtol=1e-10, atol=1e-12)


def test_mixer_at_the_identity_is_lora(llama, make_llama, tokens):
    model = get_peft_model(llama, config(init_weights=False)).eval()
    lora = LoraConfig(r=4, lora_alpha=12, target_modules=QKVUD, task_type="CAUSAL_LM")
    other = get_peft_model(make_llama(), lora).eval()
    with torch.no_grad():
        for name, mine in model.named_modules():
            if hasattr(mine, "moslora_A"):
                theirs = other.get_submodule(name)
                mine.moslora_mixer["default"].copy_(torch.eye(4))
                theirs.lora_A["default"].weight.copy_(mine.moslora_A["default"])
                theirs.lora_B["default"].weight.copy_(mine.moslora_B["default"])
        torch.testing.assert_close(model(tokens).logits, other(tokens).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("model", "sizes", "layers"), [("small", SMALL, 3), ("large", LARGE, 32)])
@pytest.mark.parametrize("r", [1, 16])
def test_trains_as_many_parameters_as_the_paper_says(llama, model, sizes, layers, r):
    """r (in + out + r) a layer (paper, section 3.2: (d1 + d2 + r) r)."""
    if model == "large":
        with torch.device("meta"):
            llama = AutoModelForCausalLM.from_config(LLAMA_3_8B)
    trained = get_peft_model(llama, config(r=r)).get_nb_trainable_parameters()[0]
    assert trained == layers * sum(r * (inputs + outputs + r) for inputs, outputs in sizes)


def test_weights_start_as_the_paper_says(llama):
    torch.manual_seed(0)
    layer = get_peft_model(llama, config(r=32)).model.model.layers[0].mlp.up_proj
    for weight in (layer.moslora_A["default"], layer.moslora_mixer["default"]):
        assert 0.95 / 32**0.5 < weight.abs().max() <= 1 / 32**0.5
        assert weight.var().item() == pytest.approx(1 / 32 / 3, rel=0.15)
    assert layer.moslora_B["default"].count_nonzero() == 0


def test_orthogonal_mixer_starts_orthogonal(llama):
    model = get_peft_model(llama, config(r=8, mixer_init="orthogonal"))
    mixers = [weight for name, weight in model.named_parameters() if "mixer" in name]
    assert len(mixers) == 15
    assert not torch.equal(mixers[0], mixers[1])
    for mixer in mixers:
        torch.testing.assert_close(mixer @ mixer.T, torch.eye(8), rtol=0, atol=1e-5)


def test_unknown_start_of_the_mixer_is_refused():
    with pytest.raises(ValueError, match="`mixer_init` must be one of kaiming, orthogonal, got 'zeros'"):
        config(mixer_init="zeros")
