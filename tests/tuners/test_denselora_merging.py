"""Merging DenseLoRA: possible where it is linear, refused where it is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import get_peft_model

from harness.tuners import DenseLoraConfig


def config(**arguments: Any) -> DenseLoraConfig:
    arguments = {"target_modules": ["q_proj", "up_proj"], "activation": "identity", **arguments}
    return DenseLoraConfig(r=4, init_weights=False, **arguments)


@pytest.mark.parametrize("safe_merge", [False, True])
def test_linear_adapter_merges_to_the_same_outputs(llama, tokens, safe_merge):
    model = get_peft_model(llama, config()).eval()
    with torch.no_grad():
        adapted = model(tokens).logits
        with model.disable_adapter():
            assert (model(tokens).logits - adapted).abs().max() > 1e-3
        merged = model.merge_and_unload(safe_merge=safe_merge)
        torch.testing.assert_close(merged(tokens).logits, adapted, rtol=0, atol=1e-6)
    assert not any("denselora" in name for name, _ in merged.named_modules())


def test_merged_weight_is_the_base_weight_and_the_product(llama):
    model = get_peft_model(llama, config(alpha=12)).eval()
    layer = model.model.model.layers[2].mlp.up_proj
    E, M, D = (getattr(layer, f"denselora_{part}")["default"] for part in ("encoder", "M", "decoder"))
    expected = layer.base_layer.weight + 12 / 4 * torch.einsum("or,rq,qi->oi", D, M, E)
    torch.testing.assert_close(model.merge_and_unload().model.layers[2].mlp.up_proj.weight, expected)


def test_bfloat16_weight_is_rounded_once(llama):
    model = get_peft_model(llama.to(torch.bfloat16), config())
    layer = model.model.model.layers[0].mlp.up_proj
    expected = (layer.base_layer.weight.float() + layer.get_delta_weight("default")).to(torch.bfloat16)
    assert torch.equal(model.merge_and_unload().model.layers[0].mlp.up_proj.weight, expected)


def test_unmerging_gives_the_base_weights_back(llama, make_llama, tokens):
    model = get_peft_model(llama, config()).eval()
    with torch.no_grad():
        adapted = model(tokens).logits
        model.merge_adapter()
        torch.testing.assert_close(model(tokens).logits, adapted, rtol=0, atol=1e-6)
        model.unmerge_adapter()
        torch.testing.assert_close(model(tokens).logits, adapted, rtol=0, atol=1e-6)
    weight = model.model.model.layers[0].mlp.up_proj.base_layer.weight
    torch.testing.assert_close(weight, make_llama().model.layers[0].mlp.up_proj.weight, rtol=0, atol=1e-6)


def test_disabling_a_merged_adapter_unmerges_it(llama, make_llama, tokens):
    base = make_llama()(tokens).logits
    model = get_peft_model(llama, config()).eval()
    model.merge_adapter()
    with model.disable_adapter():
        torch.testing.assert_close(model(tokens).logits, base, rtol=0, atol=1e-6)


def test_conv1d_merges_to_the_same_outputs(gpt2, tokens):
    model = get_peft_model(gpt2, config(target_modules=["c_attn", "c_fc"])).eval()
    with torch.no_grad():
        adapted = model(tokens).logits
        torch.testing.assert_close(model.merge_and_unload()(tokens).logits, adapted, rtol=0, atol=1e-6)


def test_two_linear_adapters_merge_together(llama, tokens):
    model = get_peft_model(llama, config()).eval()
    model.add_adapter("second", config(target_modules=["up_proj"]))
    model.base_model.set_adapter(["default", "second"])
    model.eval()
    with torch.no_grad():
        adapted = model(tokens).logits
        merged = model.merge_and_unload(adapter_names=["default", "second"])
        torch.testing.assert_close(merged(tokens).logits, adapted, rtol=0, atol=1e-6)


def test_safe_merge_stops_at_weights_that_are_not_finite(llama):
    model = get_peft_model(llama, config())
    model.model.model.layers[0].mlp.up_proj.denselora_M["default"].data[0, 0] = torch.nan
    with pytest.raises(
        ValueError, match=r"NaNs detected in the merged weights. The adapter default seems to be broken"
    ):
        model.merge_and_unload(safe_merge=True)


@pytest.mark.parametrize("activations", [{"activation": "gelu"}, {"decoder_activation": "silu"}])
@pytest.mark.parametrize("merge", ["merge_and_unload", "merge_adapter"])
def test_non_linear_adapter_refuses_to_merge_and_is_left_untouched(llama, tokens, merge, activations):
    model = get_peft_model(llama, config(**activations)).eval()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(NotImplementedError, match=r"non-linear.*Keep it beside the base model.*activation='identity'"):
        getattr(model, merge)()
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("merge", ["merge_and_unload", "merge_adapter"])
def test_refusal_comes_before_another_adapter_is_merged(llama, merge):
    model = get_peft_model(llama, config(target_modules=["q_proj"]))
    model.add_adapter("bent", config(target_modules=["up_proj"], activation="gelu"))
    weight = model.model.model.layers[0].self_attn.q_proj.base_layer.weight
    before = weight.clone()
    with pytest.raises(NotImplementedError, match="'bent' can't be merged"):
        getattr(model, merge)(adapter_names=["default", "bent"])
    assert torch.equal(weight, before)
    getattr(model, merge)(adapter_names=["default"])
    assert not torch.equal(weight, before)


def test_quantized_weights_are_refused_with_what_to_do(llama):
    model = get_peft_model(llama, config())
    weight = model.model.model.layers[0].mlp.up_proj.base_layer.weight
    weight.requires_grad_(False).data = torch.zeros(48, 32, dtype=torch.int8)
    with pytest.raises(NotImplementedError, match="without quantization"):
        model.merge_and_unload()


def test_unloading_gives_the_base_model_back(llama, make_llama, tokens):
    unloaded = get_peft_model(llama, config(activation="gelu")).unload()
    assert torch.equal(unloaded(tokens).logits, make_llama()(tokens).logits)
    assert unloaded.state_dict().keys() == make_llama().state_dict().keys()


@pytest.mark.parametrize("merge", [True, False])
def test_trained_tokens_are_merged_and_unloaded_with_the_adapter(make_llama, tokens, merge):
    model = get_peft_model(make_llama(), config(trainable_token_indices=[3, 5])).eval()
    with torch.no_grad():
        model.get_input_embeddings().token_adapter.trainable_tokens_delta["default"].add_(1)
        adapted, base = model(tokens).logits, make_llama()(tokens).logits
        bare = model.merge_and_unload() if merge else model.unload()
        torch.testing.assert_close(bare(tokens).logits, adapted if merge else base, rtol=0, atol=3e-6)
    assert bare.state_dict().keys() == make_llama().state_dict().keys()
