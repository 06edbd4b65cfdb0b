"""DenseLoRA without sharing: each layer has an encoder and a decoder of its own, and all else stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from torch.nn.functional import gelu

from harness.tuners import DenseLoraConfig, MixedConfig

QKVUD = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]
SIZES = {"q_proj": (32, 32), "k_proj": (32, 16), "v_proj": (32, 16), "up_proj": (32, 48), "down_proj": (48, 32)}
LAYERS = 3


def config(**arguments: Any) -> DenseLoraConfig:
    return DenseLoraConfig(
        **{"r": 4, "dropout": 0.0, "target_modules": QKVUD, "share_encoder_decoder": False, "task_type": "CAUSAL_LM"}
        | arguments
    )


def mixture(**arguments: Any) -> MixedConfig:
    lora = {"peft_type": "LORA", "r": 4, "target_modules": ["o_proj"]}
    dense = {"peft_type": "DENSELORA", "r": 4, "target_modules": QKVUD, "share_encoder_decoder": False}
    return MixedConfig(parts=[lora, dense | arguments], task_type="CAUSAL_LM")


def adapted(model: nn.Module) -> list[nn.Module]:
    return [module for name, module in model.named_modules() if name.rpartition(".")[2] in SIZES]


def test_it_trains_loras_parameters_and_a_matrix_more_in_each_layer(llama):
    model = get_peft_model(llama, config())

    lora = LAYERS * 4 * sum(map(sum, SIZES.values()))
    assert model.get_nb_trainable_parameters()[0] == lora + LAYERS * len(SIZES) * 4**2


@pytest.mark.parametrize("make_config", [config, mixture])
def test_no_two_layers_read_one_tensor(llama, make_config):
    layers = adapted(get_peft_model(llama, make_config()))

    for part in ("denselora_encoder", "denselora_decoder", "denselora_M"):
        assert len({getattr(layer, part)["default"].data_ptr() for layer in layers}) == LAYERS * len(SIZES)


def test_a_layer_computes_the_papers_formula_with_its_own_pair(llama):
    model = get_peft_model(llama, config(init_weights=False, alpha=12)).eval()
    first, second = adapted(model)[0], adapted(model)[len(SIZES)]
    x = torch.randn(2, 5, 32)

    for layer in (first, second):
        E, M, D = (
            getattr(layer, f"denselora_{part}")["default"] for part in ("encoder", "M", "decoder")
        )  # fmt: skip
        expected = layer.base_layer(x) + 3 * gelu(gelu(x @ E.T) @ M.T @ D.T)
        torch.testing.assert_close(layer(x), expected)


def test_it_starts_as_the_base_and_every_tensor_of_it_learns(llama, tokens):
    before = llama(tokens).logits
    model = get_peft_model(llama, config())
    assert torch.equal(model(tokens).logits, before)

    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=1.0)
    for _ in range(2):  # E and M learn once D has left zero
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
    assert all(weight.grad.abs().sum() > 0 for weight in model.parameters() if weight.requires_grad)


@pytest.mark.parametrize("make_config", [config, mixture])
def test_a_saved_adapter_comes_back(llama, make_llama, tokens, tmp_path, make_config):
    model = get_peft_model(llama, make_config()).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.1)
    model.save_pretrained(tmp_path)

    loaded = PeftModel.from_pretrained(make_llama(), tmp_path).eval()

    assert torch.equal(loaded(tokens).logits, model(tokens).logits)


@pytest.mark.parametrize("make_config", [config, mixture])
@pytest.mark.parametrize("first", [True, False])
def test_a_layer_cant_have_an_adapter_that_shares_and_one_that_does_not(llama, tokens, make_config, first):
    model = get_peft_model(llama, make_config(share_encoder_decoder=first))
    names = set(model.state_dict())

    with pytest.raises(
        ValueError, match=rf"q_proj has a DenseLoRA adapter with share_encoder_decoder={first} already"
    ):
        model.add_adapter("other", make_config(share_encoder_decoder=not first))
    assert set(model.state_dict()) == names
