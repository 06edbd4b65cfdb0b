"""What DenseLoRA computes, what it shares and how many parameters it trains."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
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


def identity(x: torch.Tensor) -> torch.Tensor:
    return x


def tanh(x: torch.Tensor) -> torch.Tensor:
    return 1 - 2 / (torch.exp(2 * x) + 1)


Function = Callable[[torch.Tensor], torch.Tensor]
ACTIVATIONS = [
    ({}, gelu, gelu),
    ({"activation": "silu"}, silu, silu),
    ({"activation": "identity"}, identity, identity),
    ({"activation": "relu", "decoder_activation": "tanh"}, torch.relu, tanh),
    ({"activation": "gelu", "decoder_activation": "identity"}, gelu, identity),
    ({"activation": "identity", "decoder_activation": "silu"}, identity, silu),
]
TOLERANCES = [(torch.float64, 1e-10), (torch.float32, 1e-5)]


def change(layer: nn.Module, adapter: str, x: torch.Tensor, encode: Function, decode: Function) -> torch.Tensor:
    """(alpha / r) act(D M act(E x)) at alpha = 8 and r = 4, by indices."""
    E, M, D = (getattr(layer, f"denselora_{part}")[adapter] for part in ("encoder", "M", "decoder"))
    code = encode(torch.einsum("ri,bsi->bsr", E, x))
    return 8 / 4 * decode(torch.einsum("or,rq,bsq->bso", D, M, code))


def weights(layer: nn.Module) -> list[nn.Parameter]:
    parts = (layer.denselora_encoder, layer.denselora_M, layer.denselora_decoder)
    return [weight for part in parts for weight in part.values() if weight.requires_grad]


def assert_computes(model: PeftModel, name: str, formula: Function, x: torch.Tensor, tolerance: float) -> None:
    """A layer's output and the gradients of input and adapter, in `x`'s precision, are the formula's in float64."""
    layer, exact = (m.base_model.model.get_submodule(name) for m in (model.to(x.dtype), copy.deepcopy(model).double()))
    inputs = [x.clone().requires_grad_(), x.double().requires_grad_()]
    outputs = [layer(inputs[0]), formula(exact, inputs[1])]
    towards = torch.randn_like(outputs[1])
    results = [
        (output, *torch.autograd.grad((output * towards.to(output.dtype)).sum(), [given, *weights(owner)]))
        for output, given, owner in zip(outputs, inputs, (layer, exact), strict=True)
    ]
    for got, expected in zip(*results, strict=True):
        assert got.dtype == x.dtype
        assert expected.norm() > 0
        assert (got.double() - expected).norm() < tolerance * expected.norm()


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize(("activations", "encode", "decode"), ACTIVATIONS)
def test_layer_computes_the_papers_formula_and_its_gradients(llama, dtype, tolerance, activations, encode, decode):
    model = get_peft_model(llama, config(init_weights=False, **activations)).eval()

    def formula(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        base = torch.einsum("oi,bsi->bso", layer.base_layer.weight, x)
        return base + change(layer, "default", x, encode, decode)

    assert_computes(model, "model.layers.1.mlp.up_proj", formula, torch.randn(2, 5, 32, dtype=dtype), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_active_adapters_add_up_with_their_gradients(llama, dtype, tolerance):
    model = get_peft_model(llama, config(init_weights=False))
    model.add_adapter("other", config(init_weights=False, activation="silu", decoder_activation="tanh"))
    model.base_model.set_adapter(["default", "other"])
    model.eval()

    def formula(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        base = torch.einsum("oi,bsi->bso", layer.base_layer.weight, x)
        return base + change(layer, "default", x, gelu, gelu) + change(layer, "other", x, silu, tanh)

    assert len(weights(model.model.model.layers[1].mlp.down_proj)) == 6
    assert_computes(model, "model.layers.1.mlp.down_proj", formula, torch.randn(2, 5, 48, dtype=dtype), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize(("activations", "encode", "decode"), ACTIVATIONS)
def test_conv1d_computes_the_same_formula(gpt2, dtype, tolerance, activations, encode, decode):
    model = get_peft_model(gpt2, config(target_modules=["c_fc"], init_weights=False, **activations)).eval()

    def formula(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        base = torch.einsum("io,bsi->bso", layer.base_layer.weight, x) + layer.base_layer.bias
        return base + change(layer, "default", x, encode, decode)

    layer = model.model.transformer.h[0].mlp.c_fc
    parts = (layer.denselora_encoder, layer.denselora_M, layer.denselora_decoder)
    assert [part["default"].shape for part in parts] == [(4, 32), (4, 4), (128, 4)]
    assert_computes(model, "transformer.h.0.mlp.c_fc", formula, torch.randn(2, 5, 32, dtype=dtype), tolerance)


def test_gradient_of_a_shared_tensor_is_the_sum_over_the_groups_layers(llama, tokens):
    model = get_peft_model(llama, config(init_weights=False)).eval().double()
    layers = [layer.mlp.up_proj for layer in model.model.model.layers]
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def remember(layer: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        output.retain_grad()
        seen.append((arguments[0].detach(), output))

    for layer in layers:
        layer.register_forward_hook(remember)
    model(tokens, labels=tokens).loss.backward()
    for part in ("encoder", "decoder"):
        shared = getattr(layers[0], f"denselora_{part}")["default"]
        total = torch.zeros_like(shared)
        for layer, (x, output) in zip(layers, seen, strict=True):
            alone = (change(layer, "default", x, gelu, gelu) * output.grad).sum()
            total += torch.autograd.grad(alone, shared)[0]
        assert (shared.grad - total).norm() < 1e-10 * total.norm()


class Pair(nn.Module):
    """Two linear layers of one group."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.ModuleDict({"proj": nn.Linear(16, 12, bias=False)}) for _ in range(2))


def read_masks(layer: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The three masks of one call, for rank 1, E = (1, 2, 4, ...), M = 1, D = (1, 1, ...), x = 1 and p = 0.25.

    An output is 0 where it is dropped, and else the sum of the powers of two that stand for the inputs kept.
    """
    y = ((layer(x) - layer.base_layer(x)) * 0.75**3).round()
    kept, value = y != 0, y.amax(dim=-1)
    assert torch.equal(y, kept * value[:, None])
    bits = (value.long()[:, None] >> torch.arange(16)) & 1
    return bits.bool(), value != 0, kept


def test_dropout_draws_three_masks_for_every_module_and_call():
    torch.manual_seed(0)
    settings = DenseLoraConfig(r=1, alpha=1, dropout=0.25, activation="identity", target_modules=["proj"])
    model = get_peft_model(Pair(), settings).double().train()
    first, second = model.model.first["proj"], model.model.second["proj"]
    with torch.no_grad():
        first.denselora_encoder["default"].copy_(2.0 ** torch.arange(16))
        first.denselora_decoder["default"].fill_(1)
        for layer in (first, second):
            layer.denselora_M["default"].fill_(1)
        x = torch.ones(20_000, 16, dtype=torch.float64)
        calls = [read_masks(layer, x) for layer in (first, first, second)]
    columns = []
    for inputs, code, outputs in calls:
        assert code.double().mean().item() == pytest.approx(0.75, abs=0.015)
        # Where the code is dropped, neither the input's nor the output's mask is seen.
        assert inputs[code].double().mean(dim=0).sub(0.75).abs().max() < 0.02
        assert outputs[code].double().mean(dim=0).sub(0.75).abs().max() < 0.02
        columns.append(torch.cat([inputs, outputs], dim=1).double())
    seen = torch.stack([code for _, code, _ in calls]).all(dim=0)
    together = torch.cat([c[seen] for c in columns], dim=1)
    correlation = torch.corrcoef(together.T) - torch.eye(together.shape[1], dtype=torch.float64)
    assert correlation.abs().max() < 0.06
    codes = torch.corrcoef(torch.stack([code.double() for _, code, _ in calls]))
    assert (codes - torch.eye(3, dtype=torch.float64)).abs().max() < 0.04


def test_dropout_is_off_in_evaluation(llama):
    layer = get_peft_model(llama, config(dropout=0.5, init_weights=False)).eval().model.model.layers[0].mlp.up_proj
    x = torch.randn(2, 5, 32)
    torch.testing.assert_close(layer(x), layer.base_layer(x) + change(layer, "default", x, gelu, gelu))


@pytest.mark.parametrize("arguments", [{}, {"train_encoder_decoder": False}, {"activation": "identity"}])
def test_fresh_adapter_leaves_the_models_output_as_it_was(make_llama, tokens, arguments):
    base = make_llama()(tokens).logits
    model = get_peft_model(make_llama(), config(**arguments)).train()
    assert torch.equal(model(tokens).logits, base)


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
