"""What DenseLoRA computes, what it shares and how many parameters it trains."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from harness.tuners import DenseLoraConfig

QKVUD = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]


def config(**arguments: Any) -> DenseLoraConfig:
    return DenseLoraConfig(**{"r": 4, "alpha": 8, "target_modules": QKVUD, "task_type": "CAUSAL_LM", **arguments})


def gelu(x: torch.Tensor) -> torch.Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def silu(x: torch.Tensor) -> torch.Tensor:
    return x / (1 + torch.exp(-x))


@pytest.mark.parametrize(
    ("activations", "encode", "decode"),
    [
        ({}, gelu, gelu),
        ({"activation": "silu"}, silu, silu),
        ({"activation": "relu", "decoder_activation": "tanh"}, torch.relu, torch.tanh),
        ({"activation": "identity"}, lambda x: x, lambda x: x),
        ({"activation": "gelu", "decoder_activation": "identity"}, gelu, lambda x: x),
    ],
)
def test_layer_computes_the_papers_formula_and_its_gradients(llama, activations, encode, decode):
    layer = get_peft_model(llama, config(init_weights=False, **activations)).eval().model.model.layers[1].mlp.up_proj
    weights = [layer.denselora_encoder["default"], layer.denselora_M["default"], layer.denselora_decoder["default"]]
    x = torch.randn(2, 5, 32)

    E, M, D = (w.detach().clone().requires_grad_() for w in weights)
    code = encode(torch.einsum("ri,bsi->bsr", E, x))
    expected = torch.einsum("oi,bsi->bso", layer.base_layer.weight, x)
    expected = expected + 8 / 4 * decode(torch.einsum("or,rq,bsq->bso", D, M, code))
    y = layer(x)

    torch.testing.assert_close(y, expected)
    gradients = torch.autograd.grad(y.square().sum(), weights)
    for got, wanted in zip(gradients, torch.autograd.grad(expected.square().sum(), (E, M, D)), strict=True):
        assert wanted.abs().max() > 0
        torch.testing.assert_close(got, wanted)


def test_conv1d_computes_the_same_formula(gpt2):
    model = get_peft_model(gpt2, config(target_modules=["c_fc"], init_weights=False)).eval()
    layer = model.model.transformer.h[0].mlp.c_fc
    x = torch.randn(2, 5, 32)
    E, M, D = (getattr(layer, f"denselora_{part}")["default"] for part in ("encoder", "M", "decoder"))
    assert (E.shape, M.shape, D.shape) == ((4, 32), (4, 4), (128, 4))
    expected = x @ layer.base_layer.weight + layer.base_layer.bias + 2 * gelu(gelu(x @ E.T) @ M.T @ D.T)
    torch.testing.assert_close(layer(x), expected)


def test_dropout_has_three_masks_of_its_own(llama):
    layer = get_peft_model(llama, config(dropout=0.5, init_weights=False)).train().model.model.layers[0].mlp.up_proj
    x = torch.randn(2, 5, 32)
    E, M, D = (getattr(layer, f"denselora_{part}")["default"] for part in ("encoder", "M", "decoder"))
    torch.manual_seed(3)
    y = layer(x)
    torch.manual_seed(3)
    masks = [nn.functional.dropout(torch.ones(2, 5, width), 0.5) for width in (32, 4, 48)]
    code = masks[1] * gelu((masks[0] * x) @ E.T)
    torch.testing.assert_close(y - layer.base_layer(x), 2 * masks[2] * gelu(code @ M.T @ D.T))


@pytest.mark.parametrize("arguments", [{}, {"train_encoder_decoder": False}, {"activation": "identity"}])
def test_fresh_adapter_leaves_the_models_output_as_it_was(make_llama, tokens, arguments):
    base = make_llama()(tokens).logits
    model = get_peft_model(make_llama(), config(**arguments)).train()
    assert torch.equal(model(tokens).logits, base)


def test_weights_start_as_in_the_paper(llama):
    layer = get_peft_model(llama, config(r=16)).model.model.layers[0].mlp.down_proj
    for weight, fan_in in ((layer.denselora_encoder["default"], 48), (layer.denselora_M["default"], 16)):
        # Kaiming-uniform with a = sqrt(5) is uniform within 1 / sqrt(fan_in).
        assert 0.95 / math.sqrt(fan_in) < weight.abs().max() <= 1 / math.sqrt(fan_in)
    assert layer.denselora_decoder["default"].count_nonzero() == 0


def test_layers_of_a_kind_share_encoder_and_decoder_and_each_has_its_own_matrix(llama):
    layers = get_peft_model(llama, config()).model.model.layers

    def pointers(name: str, part: str) -> set[int]:
        module = "mlp" if name in ("up_proj", "down_proj") else "self_attn"
        return {getattr(layer.get_submodule(f"{module}.{name}"), part)["default"].data_ptr() for layer in layers}

    for name in QKVUD:
        assert len(pointers(name, "denselora_encoder")) == 1
        assert len(pointers(name, "denselora_decoder")) == 1
        assert len(pointers(name, "denselora_M")) == 3
    assert len(set.union(*(pointers(name, "denselora_encoder") for name in QKVUD))) == 5


def test_modules_of_one_name_and_different_shapes_have_their_own_pairs():
    class Block(nn.Module):
        def __init__(self, width: int):
            super().__init__()
            self.proj = nn.Linear(8, width)
            self.back = nn.Linear(width, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.back(self.proj(x))

    model = get_peft_model(nn.Sequential(Block(6), Block(10), Block(6)), DenseLoraConfig(r=2, target_modules=["proj"]))
    first, second, third = (block.proj for block in model.model)
    assert first.denselora_decoder["default"] is third.denselora_decoder["default"]
    assert second.denselora_decoder["default"].shape == (10, 2)
    assert model.get_nb_trainable_parameters()[0] == 2 * ((8 + 6) + (8 + 10)) + 3 * 2 * 2
    assert model(torch.randn(3, 8)).shape == (3, 8)


@pytest.mark.parametrize(
    ("name", "kv_heads", "mlp", "r", "parameters"),
    [
        ("LLaMA3-8B", 8, 14336, 16, 925_696),
        ("LLaMA3-8B", 8, 14336, 32, 1_933_312),
        ("LLaMA3-8B", 8, 14336, 64, 4_194_304),
        ("LLaMA3-8B", 8, 14336, 256, 24_641_536),
        ("LLaMA2-7B", 32, 11008, 16, 917_504),
        ("LLaMA2-7B", 32, 11008, 32, 1_916_928),
        ("LLaMA2-7B", 32, 11008, 64, 4_161_536),
    ],
)
def test_parameter_counts_are_the_papers(name, kv_heads, mlp, r, parameters):
    sizes = LlamaConfig(
        vocab_size=128,
        hidden_size=4096,
        intermediate_size=mlp,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=kv_heads,
    )
    with torch.device("meta"):
        model = get_peft_model(LlamaForCausalLM(sizes), config(r=r, alpha=2 * r))
    assert model.get_nb_trainable_parameters()[0] == parameters
    assert all(weight.is_meta for weight in model.parameters())


def test_meta_model_can_be_adapted_outside_of_the_meta_context():
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2))
    model = get_peft_model(model, config())
    assert all(weight.is_meta for weight in model.parameters())


def test_targets_default_to_those_of_lora_for_the_architecture(llama):
    model = get_peft_model(llama, config(target_modules=None))
    assert model.peft_config["default"].target_modules == {"q_proj", "v_proj"}


def test_adapts_only_the_layers_that_are_asked_for(llama):
    model = get_peft_model(llama, config(target_modules=["q_proj"], layers_to_transform=[0, 2]))
    assert model.get_nb_trainable_parameters()[0] == 4 * (32 + 32) + 2 * 16


def test_all_linear_leaves_the_head_out(llama):
    model = get_peft_model(llama, config(target_modules="all-linear"))
    assert not any("lm_head" in name for name, weight in model.named_parameters() if weight.requires_grad)


def test_bfloat16_base_has_float32_adapters_that_stay_shared(llama, tokens):
    model = get_peft_model(llama.to(torch.bfloat16), config())
    first, last = (model.model.model.layers[i].self_attn.q_proj for i in (0, 2))
    assert first.denselora_encoder["default"] is last.denselora_encoder["default"]
    assert {w.dtype for w in model.parameters() if w.requires_grad} == {torch.float32}
    trainable = model.get_nb_trainable_parameters()[0]
    assert trainable == 4 * sum((32 + 32, 32 + 16, 32 + 16, 32 + 48, 48 + 32)) + 15 * 16
    assert model(tokens).logits.dtype == torch.bfloat16


def test_embedding_can_not_be_adapted(llama):
    with pytest.raises(TypeError, match=r"can't adapt 'model.embed_tokens', a Embedding: it adapts torch.nn.Linear"):
        get_peft_model(llama, config(target_modules=["embed_tokens"]))


@pytest.mark.parametrize(("arguments", "message"), [
    ({"r": 0}, r"`r` must be an integer of at least 1, got 0"),
    ({"r": 2.5}, r"`r` must be an integer of at least 1, got 2.5"),
    ({"alpha": 0}, r"`alpha` must be positive, got 0"),
    ({"dropout": 1.0}, r"`dropout` must be at least 0 and below 1, got 1.0"),
    ({"bias": "lora_only"}, r"`bias` must be one of none, all, denselora_only, got 'lora_only'"),
    ({"activation": "gleu"}, r"Unknown activation 'gleu', choose one of identity, gelu"),
    ({"activation": "prelu"}, r"'prelu' has trainable parameters of its own"),
    ({"activation": "relu"}, r"can't learn with 'relu' after the decoder: f'\(0\) = 0"),
    ({"decoder_activation": "relu2"}, r"can't learn with 'relu2' after the decoder: f'\(0\) = 0"),
    ({"decoder_activation": "sigmoid"}, r"can't learn with 'sigmoid' after the decoder: f\(0\) = 0.5"),
    ({"activation": "relu", "train_encoder_decoder": False}, r"can't learn with 'relu'"),
    ({"layers_pattern": "layers"}, r"`layers_to_transform` must also be specified"),
    ({"target_modules": ".*q_proj", "layers_to_transform": [0]}, r"`target_modules` to be a list of names"),
])  # fmt: skip
def test_values_that_can_not_work_are_refused_with_the_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        config(**arguments)


@pytest.mark.parametrize(
    "activation", ["gelu", "silu", "tanh", "leaky_relu", "gelu_new", "identity", "linear", "mish"]
)
def test_activations_that_can_learn_from_zero_are_accepted_on_any_device(activation):
    with torch.device("meta"):
        assert config(activation=activation).decoder_activation_name == activation
