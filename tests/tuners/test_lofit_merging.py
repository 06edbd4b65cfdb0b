"""Where LoFiT merges, and where it says why it does not."""

from __future__ import annotations

import pytest
import torch
from peft import get_peft_model
from torch import nn

from .lofit_models import config, llama_of, offsets, projections, selected


def biases(model: nn.Module) -> list[torch.Tensor]:
    return [layer.base_layer.bias.detach().clone() for layer in projections(model)]


@pytest.mark.parametrize("safe_merge", [False, True])
def test_offsets_merge_into_the_bias_and_out_again(gpt2, tokens, safe_merge):
    model = selected(gpt2.double())
    start = biases(model)
    with torch.no_grad():
        adapted = model(tokens).logits
        model.merge_adapter(safe_merge=safe_merge)
        for layer, bias in zip(projections(model), start, strict=True):
            expected = bias + offsets(layer).flatten().double() @ layer.base_layer.weight
            torch.testing.assert_close(layer.base_layer.bias, expected, rtol=1e-12, atol=1e-12)
        assert (model(tokens).logits - adapted).abs().max() < 1e-12
        model.unmerge_adapter()
        for now, bias in zip(biases(model), start, strict=True):
            torch.testing.assert_close(now, bias, rtol=0, atol=1e-14)
        merged = model.merge_and_unload(safe_merge=safe_merge)
        assert (merged(tokens).logits - adapted).abs().max() < 1e-12


def test_two_adapters_merge_and_disabling_takes_them_out(gpt2, tokens):
    with torch.no_grad():
        base = gpt2.double()(tokens).logits
        model = selected(gpt2)
        model.add_adapter("other", config(init_std=0.5))
        model.base_model.select_heads("other")
        model.base_model.set_adapter(["default", "other"])
        adapted = model.eval()(tokens).logits
        model.merge_adapter()
        assert (model(tokens).logits - adapted).abs().max() < 1e-12
        with model.disable_adapter():
            assert (model(tokens).logits - base).abs().max() < 1e-12


def test_linear_layers_with_a_bias_merge_too(tokens):
    model = selected(llama_of(attention_bias=True).double())
    with torch.no_grad():
        adapted = model(tokens).logits
        merged = model.merge_and_unload()
        assert (merged(tokens).logits - adapted).abs().max() < 1e-12
    assert type(merged.model.layers[0].self_attn.o_proj) is nn.Linear


@pytest.mark.parametrize("merge", ["merge_adapter", "merge_and_unload"])
@pytest.mark.parametrize(("phase", "reason"), [
    ("offsets", "'default' can't be merged: an output projection that it edits has no bias"),
    ("scales", "'default' can't be merged: its heads are not selected yet"),
])  # fmt: skip
def test_merging_without_a_bias_or_before_the_selection_is_refused(llama, tokens, merge, phase, reason):
    model = selected(llama) if phase == "offsets" else get_peft_model(llama, config(init_weights=False)).eval()
    before = model(tokens).logits
    with pytest.raises(NotImplementedError, match=reason):
        getattr(model, merge)()
    assert torch.equal(model(tokens).logits, before)


def test_safe_merge_stops_at_a_bias_that_is_not_finite(gpt2):
    model = selected(gpt2, heads=8)
    nn.init.constant_(projections(model)[0].lofit_offset["default"], float("nan"))
    with pytest.raises(ValueError, match="NaNs detected"):
        model.merge_adapter(safe_merge=True)
    assert all(torch.isfinite(bias).all() for bias in biases(model))
