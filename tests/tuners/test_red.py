"""What RED computes, how it starts, how many parameters it trains and where it merges."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from harness.tuners import RedConfig


def config(**arguments: Any) -> RedConfig:
    return RedConfig(**{"target_modules": ["down_proj"], "task_type": "CAUSAL_LM", **arguments})


def edited(layer: nn.Module, adapter: str, h: torch.Tensor) -> torch.Tensor:
    """l_scaling * h + l_bias, by indices."""
    scaling, bias = layer.red_edit_scaling[adapter], layer.red_edit_bias[adapter]
    return torch.einsum("o,bso->bso", scaling, h) + bias


def assert_same_outputs_and_gradients(layer: nn.Module, expected: torch.Tensor, x: torch.Tensor) -> None:
    output = layer(x)
    trained = [x, *(weight for weight in layer.parameters() if weight.requires_grad)]
    towards = torch.arange(output.numel(), dtype=output.dtype).reshape(output.shape).sin()
    got, wanted = (torch.autograd.grad((each * towards).sum(), trained) for each in (output, expected))
    for ours, theirs in zip([output, *got], [expected, *wanted], strict=True):
        assert theirs.norm() > 0
        assert (ours - theirs).norm() < 1e-10 * theirs.norm()


def test_layer_computes_its_equation_and_all_gradients(llama):
    layer = get_peft_model(llama.double(), config(init_weights=False)).model.model.layers[1].mlp.down_proj
    assert [(w.shape, w.requires_grad) for w in layer.parameters()] == [
        ((32, 48), False),
        ((32,), True),
        ((32,), True),
    ]
    x = torch.randn(2, 5, 48, dtype=torch.float64, requires_grad=True)
    h = torch.einsum("oi,bsi->bso", layer.base_layer.weight, x)
    assert_same_outputs_and_gradients(layer, edited(layer, "default", h), x)


def test_conv1d_computes_the_same_equation(gpt2):
    model = get_peft_model(gpt2.double(), config(target_modules=["c_fc"], init_weights=False))
    layer = model.model.transformer.h[0].mlp.c_fc
    x = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    h = torch.einsum("io,bsi->bso", layer.base_layer.weight, x) + layer.base_layer.bias
    assert_same_outputs_and_gradients(layer, edited(layer, "default", h), x)


def test_active_adapters_edit_one_after_the_other(llama):
    model = get_peft_model(llama.double(), config(init_weights=False))
    model.add_adapter("other", config(init_weights=False))
    model.base_model.set_adapter(["other", "default"])
    layer = model.model.model.layers[0].mlp.down_proj
    x = torch.randn(1, 3, 48, dtype=torch.float64, requires_grad=True)
    h = torch.einsum("oi,bsi->bso", layer.base_layer.weight, x)
    assert_same_outputs_and_gradients(layer, edited(layer, "default", edited(layer, "other", h)), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fresh_adapter_leaves_the_models_output_as_it_was(make_llama, tokens, dtype):
    model = get_peft_model(make_llama().to(dtype), config(target_modules="all-linear"))
    assert torch.equal(model(tokens).logits, make_llama().to(dtype)(tokens).logits)


def count(model: PeftModel) -> int:
    return model.get_nb_trainable_parameters()[0]


def test_parameters_are_two_vectors_for_each_edited_output(make_llama):
    assert count(get_peft_model(make_llama(), config())) == 3 * 2 * 32
    everywhere = ["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"]
    assert count(get_peft_model(make_llama(), config(target_modules=everywhere))) == 3 * 2 * (32 + 16 + 16 + 32 + 32)


@pytest.mark.parametrize(("intermediate_size", "key_value_heads"), [(11008, 32), (14336, 8)])
def test_count_on_llama_2_7b_is_the_papers_and_on_llama3_8b_the_same(intermediate_size, key_value_heads):
    sizes = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 128}
    llama = LlamaConfig(intermediate_size=intermediate_size, num_key_value_heads=key_value_heads, **sizes)
    with torch.device("meta"):
        model = get_peft_model(LlamaForCausalLM(llama), config())
    assert count(model) == 32 * 2 * 4096 == 262_144


OUTPUTS = ["attn.c_proj", "mlp.c_proj"]


def copied(model: GPT2LMHeadModel) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


@pytest.mark.parametrize("safe_merge", [False, True])
def test_merges_into_weight_and_bias_and_out_again(gpt2, tokens, safe_merge):
    base = copied(gpt2)
    model = get_peft_model(gpt2, config(target_modules=OUTPUTS, init_weights=False)).eval()
    with torch.no_grad():
        adapted = model(tokens).logits
        model.merge_adapter(safe_merge=safe_merge)
        layer = model.model.transformer.h[1].mlp.c_proj
        scaling, bias = layer.red_edit_scaling["default"], layer.red_edit_bias["default"]
        name = "transformer.h.1.mlp.c_proj"
        torch.testing.assert_close(layer.base_layer.weight, base[f"{name}.weight"] @ torch.diag(scaling))
        torch.testing.assert_close(layer.base_layer.bias, base[f"{name}.bias"] * scaling + bias)
        torch.testing.assert_close(model(tokens).logits, adapted, rtol=0, atol=1e-6)
        model.unmerge_adapter()
        torch.testing.assert_close(layer.base_layer.weight, base[f"{name}.weight"])
        torch.testing.assert_close(layer.base_layer.bias, base[f"{name}.bias"], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(model(tokens).logits, adapted, rtol=0, atol=1e-6)
        merged = model.merge_and_unload(safe_merge=safe_merge)
        torch.testing.assert_close(merged(tokens).logits, adapted, rtol=0, atol=1e-6)
    assert merged.state_dict().keys() == base.keys()


def test_linear_layers_with_a_bias_merge_too(tokens):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    base = LlamaForCausalLM(LlamaConfig(vocab_size=64, mlp_bias=True, **sizes)).double()
    model = get_peft_model(base, config(init_weights=False)).eval()
    with torch.no_grad():
        adapted = model(tokens).logits
        merged = model.merge_and_unload()
        assert (merged(tokens).logits - adapted).abs().max() < 1e-12
    assert type(merged.model.layers[0].mlp.down_proj) is nn.Linear


def test_two_adapters_merge_in_their_order_and_out_in_the_opposite_one(gpt2, tokens):
    base = copied(gpt2.double())
    model = get_peft_model(gpt2, config(target_modules=OUTPUTS, init_weights=False))
    model.add_adapter("other", config(target_modules=OUTPUTS, init_weights=False))
    model.base_model.set_adapter(["default", "other"])
    with torch.no_grad():
        adapted = model.eval()(tokens).logits
        model.merge_adapter()
        assert (model(tokens).logits - adapted).abs().max() < 1e-12
        with model.disable_adapter():
            pass
        model.unmerge_adapter()
    for name, weight in base.items():
        path, _, last = name.rpartition(".")
        module = model.model.get_submodule(path)
        now = getattr(getattr(module, "base_layer", module), last)
        assert (now - weight).abs().max() < 1e-12


def test_disabling_a_merged_adapter_takes_it_out(gpt2, tokens):
    with torch.no_grad():
        base = gpt2.double()(tokens).logits
        model = get_peft_model(gpt2, config(target_modules=OUTPUTS, init_weights=False)).eval()
        model.merge_adapter()
        with model.disable_adapter():
            assert (model(tokens).logits - base).abs().max() < 1e-12


def test_bfloat16_weights_are_rounded_once(gpt2):
    base = copied(gpt2.to(torch.bfloat16))
    model = get_peft_model(gpt2, config(target_modules=["c_fc"], init_weights=False))
    model.merge_adapter()
    layer = model.model.transformer.h[0].mlp.c_fc
    scaling = layer.red_edit_scaling["default"]
    assert scaling.dtype == torch.float32
    exact = base["transformer.h.0.mlp.c_fc.weight"].float() * scaling
    assert torch.equal(layer.base_layer.weight, exact.to(torch.bfloat16))


def broken(model: PeftModel, value: float) -> None:
    with torch.no_grad():
        model.model.transformer.h[1].mlp.c_proj.red_edit_scaling["default"][3] = value


@pytest.mark.parametrize("merge", ["merge_adapter", "merge_and_unload"])
def test_a_scaling_of_zero_is_not_merged_as_it_could_not_be_taken_out(gpt2, merge):
    model = get_peft_model(gpt2, config(target_modules=OUTPUTS, init_weights=False))
    broken(model, 0.0)
    before = copied(model)
    with pytest.raises(NotImplementedError, match="an element of its scaling is zero"):
        getattr(model, merge)()
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_safe_merge_stops_at_weights_that_are_not_finite(gpt2):
    model = get_peft_model(gpt2, config(target_modules=["mlp.c_proj"], init_weights=False))
    broken(model, float("nan"))
    with pytest.raises(ValueError, match="NaNs detected"):
        model.merge_adapter(safe_merge=True)
    assert torch.isfinite(model.model.transformer.h[1].mlp.c_proj.base_layer.weight).all()


@pytest.mark.parametrize("merge", ["merge_adapter", "merge_and_unload"])
def test_one_layer_without_a_bias_refuses_the_merge_of_all(gpt2, merge):
    model = get_peft_model(gpt2, config(target_modules=["mlp.c_proj", "lm_head"], init_weights=False))
    before = copied(model)
    with pytest.raises(NotImplementedError, match=r"'default' can't be merged: a layer that it edits has no bias"):
        getattr(model, merge)()
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_a_bias_setting_of_another_method_is_refused():
    with pytest.raises(ValueError, match="`bias` must be one of none, all, red_only"):
        config(bias="lora_only")
