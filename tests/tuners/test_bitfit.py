"""What BitFit trains, that it is the model's own biases, and where it is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D

from harness.tuners import BitFitConfig


def config(**arguments: Any) -> BitFitConfig:
    return BitFitConfig(task_type="CAUSAL_LM", **arguments)


def biases(model: nn.Module) -> dict[str, nn.Parameter]:
    """The biases of a bare model by the names of their modules."""
    return {name.removesuffix(".bias"): p for name, p in model.named_parameters() if name.endswith(".bias")}


def changes(model: PeftModel) -> dict[str, nn.Parameter]:
    """All that is trained, by the names that the modules had before."""
    return {
        name.removeprefix("base_model.model.").removesuffix(".bitfit_change.default"): parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def test_every_bias_is_trained_and_nothing_else(gpt2, tokens):
    expected = {name: bias.shape for name, bias in biases(gpt2).items()}
    before = gpt2(tokens).logits
    model = get_peft_model(gpt2, config())

    assert {name: change.shape for name, change in changes(model).items()} == expected
    assert len(expected) == 2 * 6 + 1  # two norms and four projections a layer, and the last norm
    assert torch.equal(model(tokens).logits, before)


def test_a_change_has_the_gradient_of_its_bias(gpt2, tokens):
    gpt2.double().requires_grad_(True)
    gpt2(tokens, labels=tokens).loss.backward()
    expected = {name: bias.grad.clone() for name, bias in biases(gpt2).items()}
    model = get_peft_model(gpt2, config(), autocast_adapter_dtype=False)
    for change in changes(model).values():
        change.data = change.data.double()
    model(tokens, labels=tokens).loss.backward()

    for name, change in changes(model).items():
        assert (change.grad - expected[name]).norm() < 1e-10 * expected[name].norm()


def test_merged_it_is_the_model_with_other_biases(gpt2, tokens):
    start = {name: bias.detach().clone() for name, bias in biases(gpt2).items()}
    weights = {name: p.detach().clone() for name, p in gpt2.named_parameters() if not name.endswith(".bias")}
    model = get_peft_model(gpt2, config(init_weights=False)).eval()
    learned = {name: change.detach().clone() for name, change in changes(model).items()}
    adapted = model(tokens).logits
    merged = model.merge_and_unload()

    assert isinstance(merged, GPT2LMHeadModel)
    assert isinstance(merged.transformer.h[0].mlp.c_fc, Conv1D)
    assert (merged(tokens).logits - adapted).abs().max() < 1e-5
    assert all(torch.equal(p, weights[name]) for name, p in merged.named_parameters() if name in weights)
    assert all(torch.equal(bias, start[name] + learned[name]) for name, bias in biases(merged).items())


def test_unmerging_gives_the_biases_back(gpt2, tokens):
    before = gpt2(tokens).logits
    model = get_peft_model(gpt2, config(init_weights=False)).eval()
    adapted = model(tokens).logits
    model.merge_adapter()
    model.unmerge_adapter()

    assert (model(tokens).logits - adapted).abs().max() < 1e-5
    with model.disable_adapter():
        assert (model(tokens).logits - before).abs().max() < 1e-5


def test_what_is_saved_is_loaded(gpt2, tokens, tmp_path):
    bare = {name: p.detach().clone() for name, p in gpt2.state_dict().items()}
    model = get_peft_model(gpt2, config(init_weights=False)).eval()
    adapted = model(tokens).logits
    model.save_pretrained(tmp_path)
    fresh = GPT2LMHeadModel(gpt2.config).eval()
    fresh.load_state_dict(bare)

    assert torch.equal(PeftModel.from_pretrained(fresh, tmp_path).eval()(tokens).logits, adapted)


def test_chosen_modules_only(gpt2):
    model = get_peft_model(gpt2, config(target_modules=["mlp.c_fc"]))

    assert sorted(changes(model)) == ["transformer.h.0.mlp.c_fc", "transformer.h.1.mlp.c_fc"]


def test_a_model_without_biases_is_refused_with_what_to_do(llama):
    before = {name for name, _ in llama.named_modules()}
    with pytest.raises(ValueError, match=r"this one has none.*BEFT"):
        get_peft_model(llama, config())

    assert {name for name, _ in llama.named_modules()} == before


def test_a_module_without_a_bias_is_refused_by_name(llama):
    with pytest.raises(ValueError, match=r"'model\.layers\.0\.self_attn\.q_proj' has none"):
        get_peft_model(llama, config(target_modules=["q_proj"]))


def test_a_module_of_another_kind_is_refused(gpt2):
    with pytest.raises(TypeError, match=r"'transformer\.wte', a Embedding"):
        get_peft_model(gpt2, config(target_modules=["wte"]))
