"""A mixture of LoRA and DenseLoRA is one adapter."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    AdaLoraConfig,
    LoraConfig,
    PeftConfig,
    PeftModel,
    PromptTuningConfig,
    get_peft_model,
)
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from harness.tuners import DenseLoraConfig, MixedConfig


def lora(**arguments: Any) -> LoraConfig:
    return LoraConfig(**{"r": 4, "target_modules": ["q_proj", "k_proj", "v_proj"], **arguments})


def dense(**arguments: Any) -> DenseLoraConfig:
    return DenseLoraConfig(**{"r": 4, "dropout": 0.0, "target_modules": ["up_proj", "down_proj"], **arguments})


def mixed(*parts: PeftConfig, **arguments: Any) -> MixedConfig:
    return MixedConfig(parts=list(parts) or [lora(), dense()], task_type="CAUSAL_LM", **arguments)


LORA_PARAMETERS = 3 * 4 * ((32 + 32) + 2 * (32 + 16))
DENSE_PARAMETERS = 4 * 2 * (32 + 48) + 6 * 4 * 4


def test_each_module_has_the_adapter_of_its_part(llama):
    model = get_peft_model(llama, mixed())
    assert model.get_nb_trainable_parameters()[0] == LORA_PARAMETERS + DENSE_PARAMETERS
    layer = model.model.model.layers[0]
    assert "lora.Linear" in repr(layer.self_attn.q_proj)
    assert "denselora.Linear" in repr(layer.mlp.up_proj)
    assert type(layer.self_attn.o_proj) is torch.nn.Linear


def test_parameter_count_is_the_papers_for_lora_on_qkv_and_denselora_on_ud():
    sizes = LlamaConfig(
        vocab_size=128,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
    )
    with torch.device("meta"):
        model = get_peft_model(LlamaForCausalLM(sizes), mixed(lora(r=32), dense(r=32)))
    lora_parameters = 32 * 32 * ((4096 + 4096) + 2 * (4096 + 1024))
    assert model.get_nb_trainable_parameters()[0] == lora_parameters + 1_245_184


@pytest.mark.parametrize("use_dora", [False, True])
def test_model_computes_what_each_method_alone_computes(make_llama, use_dora):
    model = get_peft_model(make_llama(), mixed(lora(use_dora=use_dora), dense(), init_weights=False)).eval()
    lora_alone = get_peft_model(make_llama(), lora(use_dora=use_dora, init_lora_weights=False)).eval()
    dense_alone = get_peft_model(make_llama(), dense(init_weights=False)).eval()
    for part in ("denselora_encoder", "denselora_decoder"):
        getattr(dense_alone.base_model, part).load_state_dict(getattr(model.base_model, part).state_dict())
    x = torch.randn(2, 5, 32)
    for alone, module in ((lora_alone, "self_attn.k_proj"), (dense_alone, "mlp.up_proj")):
        ours, theirs = (m.model.model.layers[1].get_submodule(module) for m in (model, alone))
        theirs.load_state_dict(ours.state_dict())
        assert torch.equal(ours(x), theirs(x))
        assert not torch.allclose(ours(x), ours.base_layer(x))


def test_mixture_for_inference_trains_nothing(llama):
    assert get_peft_model(llama, mixed(inference_mode=True)).get_nb_trainable_parameters()[0] == 0


def test_fresh_mixture_leaves_the_models_output_as_it_was(make_llama, tokens):
    assert torch.equal(get_peft_model(make_llama(), mixed())(tokens).logits, make_llama()(tokens).logits)


@pytest.mark.parametrize("arguments", [{}, {"use_rslora": True}, {"use_dora": True}])
def test_both_methods_learn(llama, tokens, arguments):
    model = get_peft_model(llama, mixed(lora(**arguments), dense()))
    before = {name: w.detach().clone() for name, w in model.named_parameters()}
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-2)
    for _ in range(3):
        model(tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    changed = {name for name, weight in model.named_parameters() if not torch.equal(before[name], weight)}
    assert changed == {name for name, weight in model.named_parameters() if weight.requires_grad}
    for part in ("lora_A", "lora_B", "denselora_encoder", "denselora_M", "denselora_decoder"):
        assert any(part in name for name in changed)


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
@pytest.mark.parametrize("arguments", [{}, {"use_dora": True}, {"use_rslora": True, "rank_pattern": {"q_proj": 2}}])
def test_is_saved_in_one_file_and_loaded_again(make_llama, tokens, tmp_path, low_cpu_mem_usage, arguments):
    model = get_peft_model(make_llama(), mixed(lora(**arguments), dense(), init_weights=False)).eval()
    model.save_pretrained(tmp_path)
    file = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in file.values()) == model.get_nb_trainable_parameters()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = PeftModel.from_pretrained(make_llama(), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    assert torch.equal(loaded(tokens).logits, model(tokens).logits)


def test_parts_as_dictionaries_are_the_same_as_configurations(tmp_path):
    parts = lora(use_dora=True, exclude_modules=["lm_head"]), dense(activation="silu", layers_to_transform=[1])
    original = mixed(*parts)
    original.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "adapter_config.json").read_text())
    assert [part["peft_type"] for part in written["parts"]] == ["LORA", "DENSELORA"]
    loaded = PeftConfig.from_pretrained(tmp_path)
    assert isinstance(loaded, MixedConfig)
    assert loaded.to_dict() == original.to_dict()
    assert MixedConfig(**original.to_dict()).parts == original.parts


def test_the_users_configurations_are_not_changed(llama):
    part = dense(target_modules=None)
    get_peft_model(llama, mixed(lora(target_modules=["k_proj"]), part, init_weights=False))
    assert part == dense(target_modules=None)


def test_parts_targets_default_to_those_of_the_architecture_and_accept_all_linear(llama):
    rest = dense(target_modules="all-linear", exclude_modules=["q_proj", "v_proj"])
    model = get_peft_model(llama, mixed(rest, lora(target_modules=None)))
    assert model.model.model.layers[0].self_attn.q_proj.r == {"default": 4}
    assert "denselora.Linear" in repr(model.model.model.layers[0].mlp.gate_proj)
    assert type(model.model.lm_head) is torch.nn.Linear


def test_one_kind_of_module_can_have_different_methods_in_different_layers(llama):
    first = lora(target_modules=["q_proj"], layers_to_transform=[0])
    rest = dense(target_modules=["q_proj"], layers_to_transform=[1, 2])
    layers = get_peft_model(llama, mixed(first, rest)).model.model.layers
    assert ["denselora" in repr(layer.self_attn.q_proj) for layer in layers] == [False, True, True]


def test_two_mixtures_are_apart(llama, make_llama, tokens, tmp_path):
    model = get_peft_model(llama, mixed(init_weights=False)).eval()
    first = model(tokens).logits
    model.add_adapter("other", mixed(lora(r=2), dense(r=3), init_weights=False))
    model.set_adapter("other")
    second = model.eval()(tokens).logits
    assert not torch.allclose(first, second)
    model.save_pretrained(tmp_path)
    assert torch.equal(PeftModel.from_pretrained(make_llama(), Path(tmp_path) / "other")(tokens).logits, second)
    model.delete_adapter("other")
    model.set_adapter("default")
    assert torch.equal(model(tokens).logits, first)
    with model.disable_adapter():
        assert torch.equal(model(tokens).logits, make_llama()(tokens).logits)


def test_wholly_trained_modules_and_tokens_belong_to_the_mixture(llama, make_llama, tokens, tmp_path):
    mlp = dense(target_modules=".*proj", exclude_modules=["q_proj", "k_proj", "v_proj"])
    whole = {"modules_to_save": ["o_proj", "lm_head"], "trainable_token_indices": [3, 5]}
    model = get_peft_model(llama, mixed(lora(), mlp, init_weights=False, **whole)).eval()
    assert not hasattr(model.model.model.layers[0].self_attn.o_proj, "denselora_M")
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(make_llama(), tmp_path)
    torch.testing.assert_close(loaded(tokens).logits, model(tokens).logits, rtol=0, atol=1e-6)
    assert not torch.equal(loaded.model.lm_head.weight, make_llama().lm_head.weight)


@pytest.mark.parametrize("arguments", [{}, {"use_dora": True}, {"use_rslora": True}])
@pytest.mark.parametrize("safe_merge", [False, True])
def test_mixture_whose_parts_all_merge_merges_to_the_same_outputs(make_llama, tokens, arguments, safe_merge):
    parts = lora(**arguments), dense(activation="identity")
    model = get_peft_model(make_llama(), mixed(*parts, init_weights=False)).eval()
    with torch.no_grad():
        adapted = model(tokens).logits
        assert (adapted - make_llama()(tokens).logits).abs().max() > 1e-3
        model.merge_adapter(safe_merge=safe_merge)
        torch.testing.assert_close(model(tokens).logits, adapted, rtol=0, atol=1e-6)
        model.unmerge_adapter()
        torch.testing.assert_close(model(tokens).logits, adapted, rtol=0, atol=1e-6)
        merged = model.merge_and_unload(safe_merge=safe_merge)
        torch.testing.assert_close(merged(tokens).logits, adapted, rtol=0, atol=1e-6)
    assert not any("lora" in name for name in merged.state_dict())


@pytest.mark.parametrize("merge", ["merge_and_unload", "merge_adapter"])
def test_mixture_with_a_part_that_does_not_merge_is_refused_untouched(make_llama, merge):
    model = get_peft_model(make_llama(), mixed(init_weights=False))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(NotImplementedError, match="non-linear"):
        getattr(model, merge)()
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize(("parts", "message"), [
    ([], r"A mixture needs `parts`"),
    ([lora(), dense(target_modules=["up_proj", "q_proj"])], r"parts\[0\] and parts\[1\] both target q_proj"),
    ([lora(), AdaLoraConfig(total_step=9)], r"parts\[1\]: ADALORA can't be part of a mixture, only LORA and"),
    ([PromptTuningConfig(num_virtual_tokens=2)], r"parts\[0\]: PROMPT_TUNING can't be part of a mixture"),
    ([mixed()], r"parts\[0\]: MIXED can't be part of a mixture"),
    ([{"r": 4}], r"parts\[0\]: `peft_type` is missing, it must be one of LORA, DENSELORA"),
    ([{"peft_type": "VERA"}], r"parts\[0\]: VERA can't be part of a mixture"),
    ([lora(), {"peft_type": "DENSELORA", "rank": 4}], r"parts\[1\]: .*unexpected keyword argument 'rank'"),
    ([{"peft_type": "DENSELORA", "r": 0}], r"parts\[0\]: `r` must be an integer of at least 1"),
    ([42], r"parts\[0\]: must be a PeftConfig or a dictionary, got int"),
    ([lora(init_lora_weights="pissa")], r"parts\[0\]: init_lora_weights='pissa' can't be used in a mixture"),
    ([lora(modules_to_save=["lm_head"])], r"parts\[0\]: modules_to_save can't be set in a part"),
    ([lora(bias="lora_only", layer_replication=[(0, 2)])], r"parts\[0\]: bias, layer_replication can't be set"),
])  # fmt: skip
def test_mixtures_that_can_not_work_are_refused_with_the_reason(parts, message):
    with pytest.raises(ValueError, match=message):
        MixedConfig(parts=parts)


@pytest.mark.parametrize(("parts", "message"), [
    ([lora(), dense(target_modules=".*_proj")], r"0.self_attn.q_proj belongs to parts\[0\] and parts\[1\]"),
    ([dense(layers_to_transform=[0]), dense(layers_to_transform=[1])], r"both DenseLoRA .* group up_proj_32x48"),
    ([lora(), dense(target_modules=["fc1"])], r"not found in the base model: parts\[1\] \({'fc1'}\)"),
])  # fmt: skip
def test_mixtures_that_do_not_fit_the_model_are_refused_before_it_is_touched(llama, parts, message):
    names = [name for name, _ in llama.named_modules()]
    with pytest.raises(ValueError, match=message):
        get_peft_model(llama, mixed(*parts))
    assert [name for name, _ in llama.named_modules()] == names


def test_another_method_on_a_module_that_has_one_is_refused(llama):
    model = get_peft_model(llama, mixed())
    with pytest.raises(ValueError, match="q_proj has an adapter of another method already"):
        model.add_adapter("other", mixed(dense(target_modules=["q_proj"]), lora(target_modules=["o_proj"])))
