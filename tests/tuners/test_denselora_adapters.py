"""DenseLoRA as an adapter: saved, loaded, switched, deleted, beside other trained modules."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftConfig, PeftModel, PeftType, get_peft_model, inject_adapter_in_model
from safetensors.torch import load_file, save_file

from harness.tuners import DenseLoraConfig, DenseLoraModel
from harness.tuners.registration import extend_peft_type, register_tuner

QKVUD = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]


def config(**arguments: Any) -> DenseLoraConfig:
    return DenseLoraConfig(**{"r": 4, "target_modules": QKVUD, "task_type": "CAUSAL_LM", **arguments})


@pytest.fixture
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def saved(model: PeftModel, path: Path) -> str:
    model.save_pretrained(path)
    return str(path)


def test_shared_tensors_are_saved_once(llama, tmp_path):
    model = get_peft_model(llama, config())
    file = load_file(Path(saved(model, tmp_path)) / "adapter_model.safetensors")
    assert sum(tensor.numel() for tensor in file.values()) == model.get_nb_trainable_parameters()[0]
    groups = ("q_proj_32x32", "k_proj_32x16", "v_proj_32x16", "up_proj_32x48", "down_proj_48x32")
    shared = {f"base_model.denselora_{part}.{group}" for part in ("encoder", "decoder") for group in groups}
    assert {key for key in file if "denselora_M" not in key} == shared
    assert "base_model.model.model.layers.1.self_attn.q_proj.denselora_M" in file


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
@pytest.mark.parametrize("arguments", [{}, {"train_encoder_decoder": False}])
def test_loaded_adapter_is_the_saved_one(
    llama, make_llama, tokens, tmp_path, no_warnings, low_cpu_mem_usage, arguments
):
    model = get_peft_model(llama, config(init_weights=False, **arguments)).eval()
    path = saved(model, tmp_path)
    loaded = PeftModel.from_pretrained(make_llama(), path, low_cpu_mem_usage=low_cpu_mem_usage)
    assert torch.equal(loaded(tokens).logits, model(tokens).logits)
    layers = loaded.model.model.layers
    assert layers[0].mlp.up_proj.denselora_encoder["default"] is layers[2].mlp.up_proj.denselora_encoder["default"]


def test_file_with_the_documented_names_loads(make_llama, tmp_path, no_warnings):
    """The names in files are fixed: those that were saved earlier must load."""
    targets = ["q_proj", "up_proj"]
    tensors = {
        "base_model.denselora_encoder.q_proj_32x32": torch.randn(4, 32),
        "base_model.denselora_decoder.q_proj_32x32": torch.randn(32, 4),
        "base_model.denselora_encoder.up_proj_32x48": torch.randn(4, 32),
        "base_model.denselora_decoder.up_proj_32x48": torch.randn(48, 4),
    }
    for index in range(3):
        for module in ("self_attn.q_proj", "mlp.up_proj"):
            tensors[f"base_model.model.model.layers.{index}.{module}.denselora_M"] = torch.randn(4, 4)
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    written = {"peft_type": "DENSELORA", "task_type": "CAUSAL_LM", "r": 4, "alpha": 8, "target_modules": targets}
    (tmp_path / "adapter_config.json").write_text(json.dumps(written))
    layer = PeftModel.from_pretrained(make_llama(), tmp_path).model.model.layers[1].mlp.up_proj
    E, D = (tensors[f"base_model.denselora_{part}.up_proj_32x48"] for part in ("encoder", "decoder"))
    M = tensors["base_model.model.model.layers.1.mlp.up_proj.denselora_M"]
    x = torch.randn(2, 5, 32)
    gelu = torch.nn.functional.gelu
    torch.testing.assert_close(layer(x), layer.base_layer(x) + 2 * gelu(gelu(x @ E.T) @ M.T @ D.T))


def test_configuration_survives_saving_and_pickling(tmp_path):
    original = config(activation="silu", decoder_activation="tanh", train_encoder_decoder=False, exclude_modules=["x"])
    original.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["peft_type"] == "DENSELORA"
    assert PeftConfig.from_pretrained(tmp_path) == original
    assert pickle.loads(pickle.dumps(original)) == original
    assert pickle.loads(pickle.dumps(original)).peft_type is PeftType.DENSELORA


def test_importing_the_tuners_again_registers_nothing_twice():
    members = list(PeftType)
    register_tuner("denselora", DenseLoraConfig, DenseLoraModel)
    assert extend_peft_type("DENSELORA") is PeftType("DENSELORA") is PeftType.DENSELORA
    assert list(PeftType) == members
    assert len(members) == len(set(members))


def test_adapter_can_be_switched_off(llama, make_llama, tokens):
    model = get_peft_model(llama, config(init_weights=False)).eval()
    base = make_llama()(tokens).logits
    assert not torch.allclose(model(tokens).logits, base)
    with model.disable_adapter():
        assert torch.equal(model(tokens).logits, base)
    assert not torch.allclose(model(tokens).logits, base)


def test_two_adapters_are_apart(llama, tokens, tmp_path, make_llama):
    model = get_peft_model(llama, config(init_weights=False)).eval()
    first = model(tokens).logits
    model.add_adapter("other", config(r=2, target_modules=["q_proj", "o_proj"], init_weights=False))
    model.eval()
    assert torch.equal(model(tokens).logits, first)
    assert not any(weight.requires_grad for name, weight in model.named_parameters() if name.endswith(".other"))
    assert model.get_nb_trainable_parameters()[0] == 4 * sum((64, 48, 48, 80, 80)) + 15 * 16

    model.set_adapter("other")
    second = model(tokens).logits
    assert model.get_nb_trainable_parameters()[0] == 2 * (64 + 64) + 6 * 4
    assert not torch.allclose(second, first)
    model.save_pretrained(tmp_path)
    assert torch.equal(PeftModel.from_pretrained(make_llama(), tmp_path)(tokens).logits, first)
    assert torch.equal(PeftModel.from_pretrained(make_llama(), tmp_path / "other")(tokens).logits, second)

    model.set_adapter("default")
    assert torch.equal(model(tokens).logits, first)


def test_deleted_adapter_leaves_nothing_and_its_name_can_be_used_again(llama, tokens):
    model = get_peft_model(llama, config(init_weights=False)).eval()
    model.add_adapter("other", config(r=2))
    expected = model(tokens).logits
    model.delete_adapter("other")
    assert torch.equal(model(tokens).logits, expected)
    assert not any("other" in name for name in model.state_dict())
    model.add_adapter("other", config(r=3))
    model.set_adapter("other")
    assert model.model.model.layers[0].mlp.up_proj.denselora_encoder["other"].shape == (3, 32)


def test_adapter_saved_under_one_name_loads_under_another(llama, make_llama, tokens, tmp_path, no_warnings):
    model = get_peft_model(llama, config(init_weights=False), adapter_name="math").eval()
    loaded = get_peft_model(make_llama(), config(r=2)).eval()
    loaded.load_adapter(Path(saved(model, tmp_path)) / "math", "numbers")
    loaded.set_adapter("numbers")
    assert torch.equal(loaded.eval()(tokens).logits, model(tokens).logits)


def test_wholly_trained_modules_and_tokens_are_saved_too(llama, make_llama, tokens, tmp_path, no_warnings):
    extra = {"modules_to_save": ["lm_head"], "trainable_token_indices": [3, 5]}
    model = get_peft_model(llama, config(init_weights=False, **extra)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn_like(weight))
    loaded = PeftModel.from_pretrained(make_llama(), saved(model, tmp_path))
    torch.testing.assert_close(loaded(tokens).logits, model(tokens).logits, rtol=0, atol=1e-6)
    assert not torch.equal(loaded.model.lm_head.weight, make_llama().lm_head.weight)


def test_biases_can_be_trained_with_it(gpt2):
    model = get_peft_model(gpt2, config(target_modules=["c_fc"], bias="denselora_only"))
    assert {n.split(".")[-3] for n, w in model.named_parameters() if w.requires_grad and n.endswith("bias")} == {
        "c_fc"
    }


def test_injection_that_would_lose_the_shared_weights_is_refused(llama):
    with pytest.raises(ValueError, match=r"does not support .*DENSELORA because it uses shared state"):
        inject_adapter_in_model(config(), llama)
