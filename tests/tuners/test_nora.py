"""NoRA: the outer pair is made of singular vectors and frozen, the inner pair learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForCausalLM

from harness.tuners import NoraConfig

from .formula import LARGE, LLAMA_3_8B, QKVUD, SMALL, assert_computes


def config(**arguments: Any) -> NoraConfig:
    return NoraConfig(**{"r": 4, "alpha": 12, "target_modules": QKVUD, "task_type": "CAUSAL_LM", **arguments})


def parts(layer: nn.Module, adapter: str = "default") -> list[nn.Parameter]:
    return [getattr(layer, f"nora_{part}")[adapter] for part in ("outer_A", "inner_A", "inner_B", "outer_B")]


def best_approximation(weight: torch.Tensor, q: int) -> torch.Tensor:
    """The best one of rank q, by the eigenvectors of Wᵀ W."""
    vectors = torch.linalg.eigh(weight.T @ weight).eigenvectors[:, -q:]
    return weight @ vectors @ vectors.T


@pytest.mark.parametrize("name", ["q_proj", "k_proj", "up_proj", "down_proj"])
def test_layer_computes_the_papers_formula_and_its_gradients(llama, name):
    model = get_peft_model(llama, config(outer_r=8, init_weights=False)).eval().double()
    block = model.model.model.layers[1]
    layer = getattr(block.self_attn if name in ("q_proj", "k_proj") else block.mlp, name)
    A, inner_A, inner_B, B = parts(layer)
    outputs, inputs = layer.base_layer.weight.shape
    assert [w.shape for w in (A, inner_A, inner_B, B)] == [(8, inputs), (4, 8), (8, 4), (outputs, 8)]
    x = torch.randn(2, 5, inputs, dtype=torch.float64, requires_grad=True)
    change = torch.einsum("op,pj,jq,qi,bsi->bso", B, inner_B, inner_A, A, x)
    expected = torch.einsum("oi,bsi->bso", layer.base_layer.weight, x) + 12 / 4 * change
    assert not A.requires_grad
    assert not B.requires_grad
    assert_computes(layer, x, [inner_A, inner_B], expected)


def test_conv1d_computes_the_same_formula(gpt2):
    model = get_peft_model(gpt2.double(), config(outer_r=8, target_modules=["c_fc"], init_weights=False)).eval()
    layer = model.model.transformer.h[0].mlp.c_fc
    A, inner_A, inner_B, B = parts(layer)
    x = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    base = torch.einsum("io,bsi->bso", layer.base_layer.weight, x) + layer.base_layer.bias
    assert_computes(layer, x, [inner_A, inner_B], base + 3 * (x @ A.T @ inner_A.T @ inner_B.T @ B.T))
    torch.testing.assert_close(B @ A, best_approximation(layer.base_layer.weight.T, 8), rtol=1e-8, atol=1e-10)


def test_outer_pair_is_the_base_weights_largest_singular_values_and_vectors(llama):
    model = get_peft_model(llama.double(), config(outer_r=8))
    for layer in (model.model.model.layers[0].mlp.up_proj, model.model.model.layers[2].self_attn.k_proj):
        A, _, _, B = parts(layer)
        weight = layer.base_layer.weight
        values = torch.linalg.eigvalsh(weight.T @ weight).flip(0)[:8].sqrt()
        torch.testing.assert_close(B @ A, best_approximation(weight, 8), rtol=1e-8, atol=1e-10)
        for gram in (A @ A.T, B.T @ B):
            torch.testing.assert_close(gram, torch.diag(values), rtol=1e-8, atol=1e-10)


def test_narrow_layer_has_all_of_its_singular_vectors(llama):
    layer = get_peft_model(llama.double(), config(outer_r=24)).model.model.layers[0].self_attn.k_proj
    A, inner_A, inner_B, B = parts(layer)
    assert [w.shape for w in (A, inner_A, inner_B, B)] == [(16, 32), (4, 16), (16, 4), (16, 16)]
    torch.testing.assert_close(B @ A, layer.base_layer.weight, rtol=1e-8, atol=1e-10)


def test_approximate_decomposition_is_close_to_the_exact_one(llama):
    model = get_peft_model(llama.double(), config(outer_r=8, svd_iterations=30))
    layer = model.model.model.layers[0].mlp.up_proj
    A, _, _, B = parts(layer)
    weight = layer.base_layer.weight
    least = (weight - best_approximation(weight, 8)).norm()
    assert 0 < (weight - B @ A).norm() < 1.001 * least


def test_base_weight_stays_whole(llama, make_llama):
    model = get_peft_model(llama, config(outer_r=8))
    for index, block in enumerate(make_llama().model.layers):
        assert torch.equal(model.model.model.layers[index].mlp.up_proj.base_layer.weight, block.mlp.up_proj.weight)


@pytest.mark.parametrize(("model", "sizes", "layers"), [("small", SMALL, 3), ("large", LARGE, 32)])
@pytest.mark.parametrize(("r", "outer_r"), [(1, 4), (8, 16)])
def test_trains_the_inner_pair_alone(llama, model, sizes, layers, r, outer_r):
    if model == "large":
        with torch.device("meta"):
            llama = AutoModelForCausalLM.from_config(LLAMA_3_8B)
    base = llama.num_parameters()
    trained, everything = get_peft_model(llama, config(r=r, outer_r=outer_r)).get_nb_trainable_parameters()
    assert trained == layers * len(sizes) * 2 * r * outer_r
    assert everything - trained - base == layers * sum(outer_r * (inputs + outputs) for inputs, outputs in sizes)


def test_ranks_in_the_notes_train_the_denselora_papers_share_of_llama_3_8b():
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(LLAMA_3_8B)
    trained, everything = get_peft_model(model, config(r=128, outer_r=196)).get_nb_trainable_parameters()
    assert trained == 160 * 2 * 128 * 196 == 8_028_160
    assert round(100 * trained / everything, 2) == 0.1


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outer_pair_stays_frozen_through_casting_switching_and_loading(make_llama, tmp_path, dtype, low_cpu_mem_usage):
    model = get_peft_model(make_llama().to(dtype), config(outer_r=8))
    model.add_adapter("other", config(outer_r=8))
    model.set_adapter("other")
    model.set_adapter("default")
    with model.disable_adapter():
        pass
    model.save_pretrained(tmp_path, selected_adapters=["default"])
    settings = {"is_trainable": True, "low_cpu_mem_usage": low_cpu_mem_usage}
    loaded = PeftModel.from_pretrained(make_llama().to(dtype), tmp_path, **settings)
    for either in (model, loaded):
        trained = {name for name, weight in either.named_parameters() if weight.requires_grad}
        assert len(trained) == 15 * 2
        assert all("nora_inner" in name and name.endswith(".default") for name in trained)
        assert either.get_nb_trainable_parameters()[0] == 15 * 2 * 4 * 8


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_loaded_adapter_has_the_outer_pair_it_was_trained_with(make_llama, tmp_path, low_cpu_mem_usage, monkeypatch):
    """Not the pair of the model it is loaded on, whose vectors may come out with other signs."""
    model = get_peft_model(make_llama(), config(outer_r=8, init_weights=False))
    with torch.no_grad():
        for part in ("A", "B"):
            getattr(model.model.model.layers[0].mlp.up_proj, f"nora_outer_{part}")["default"].neg_()
    model.save_pretrained(tmp_path)
    key = "base_model.model.model.layers.0.mlp.up_proj.nora_outer_A"
    assert torch.equal(
        load_file(tmp_path / "adapter_model.safetensors")[key],
        parts(model.model.model.layers[0].mlp.up_proj)[0],
    )
    monkeypatch.setattr(torch.linalg, "svd", lambda *arguments, **settings: pytest.fail("decomposed for nothing"))
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    for mine, theirs in zip(*(parts(m.model.model.layers[0].mlp.up_proj) for m in (model, loaded)), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"outer_r": 0}, r"`outer_r` must be an integer of at least 1, got 0"),
    ({"svd_iterations": -1}, r"`svd_iterations` must be an integer of at least 0, got -1"),
    ({"r": 16, "outer_r": 8}, r"`r` must be at most `outer_r`, got r=16 and outer_r=8.*add no rank"),
])  # fmt: skip
def test_ranks_that_can_not_be_nested_are_refused_with_the_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        config(**arguments)
