"""What series and parallel adapters compute, how they start and how many parameters they train."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from harness.tuners import BottleneckConfig

FUNCTIONS = {"tanh": torch.tanh, "relu": torch.relu, "silu": lambda t: t / (1 + torch.exp(-t))}


def config(**arguments: Any) -> BottleneckConfig:
    return BottleneckConfig(**{"r": 4, "target_modules": ["down_proj"], "task_type": "CAUSAL_LM", **arguments})


def bottleneck(layer: nn.Module, adapter: str, read: torch.Tensor, function: str, scaling: float) -> torch.Tensor:
    """scaling * (f(read D + b) U + c), by indices."""
    down, up = layer.bottleneck_down[adapter], layer.bottleneck_up[adapter]
    code = torch.einsum("ri,bsi->bsr", down.weight, read) + (0 if down.bias is None else down.bias)
    return scaling * (
        torch.einsum("or,bsr->bso", up.weight, FUNCTIONS[function](code)) + (0 if up.bias is None else up.bias)
    )


def base(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return torch.einsum("oi,bsi->bso", layer.base_layer.weight, x)


def gradients(output: torch.Tensor, x: torch.Tensor, layer: nn.Module) -> list[torch.Tensor]:
    towards = torch.arange(output.numel(), dtype=output.dtype).reshape(output.shape).sin()
    return [*torch.autograd.grad((output * towards).sum(), [x, *(w for w in layer.parameters() if w.requires_grad)])]


def assert_equal(got: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for ours, theirs in zip(got, expected, strict=True):
        assert theirs.norm() > 0
        assert (ours - theirs).norm() < 1e-10 * theirs.norm()


@pytest.mark.parametrize("projection_bias", [False, True])
@pytest.mark.parametrize(("function", "scaling"), [("tanh", 1.0), ("relu", 4.0), ("silu", 0.5)])
@pytest.mark.parametrize("variant", ["series", "parallel"])
def test_layer_computes_its_equation_and_all_gradients(llama, variant, function, scaling, projection_bias):
    arguments = {"non_linearity": function, "scaling": scaling, "projection_bias": projection_bias}
    model = get_peft_model(llama.double(), config(variant=variant, init_weights=False, **arguments)).eval()
    layer = model.model.model.layers[1].mlp.down_proj
    x = torch.randn(2, 5, 48, dtype=torch.float64, requires_grad=True)
    h = base(layer, x)
    expected = h + bottleneck(layer, "default", h if variant == "series" else x, function, scaling)
    output = layer(x)
    assert len(gradients(output, x, layer)) == (5 if projection_bias else 3)
    assert_equal([output, *gradients(layer(x), x, layer)], [expected, *gradients(expected, x, layer)])


@pytest.mark.parametrize("variant", ["series", "parallel"])
def test_conv1d_computes_the_same_equation(gpt2, variant):
    model = get_peft_model(gpt2.double(), config(target_modules=["c_fc"], variant=variant, init_weights=False)).eval()
    layer = model.model.transformer.h[0].mlp.c_fc
    x = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    h = torch.einsum("io,bsi->bso", layer.base_layer.weight, x) + layer.base_layer.bias
    expected = h + bottleneck(layer, "default", h if variant == "series" else x, "tanh", 1.0)
    assert_equal([layer(x), *gradients(layer(x), x, layer)], [expected, *gradients(expected, x, layer)])


def test_active_adapters_follow_each_other(llama):
    model = get_peft_model(llama.double(), config(init_weights=False))
    model.add_adapter("beside", config(variant="parallel", non_linearity="relu", init_weights=False))
    model.add_adapter("last", config(scaling=2.0, init_weights=False))
    model.base_model.set_adapter(["default", "beside", "last"])
    layer = model.eval().model.model.layers[2].mlp.down_proj
    x = torch.randn(1, 3, 48, dtype=torch.float64, requires_grad=True)
    h = base(layer, x)
    h = h + bottleneck(layer, "default", h, "tanh", 1.0)
    h = h + bottleneck(layer, "beside", x, "relu", 1.0)
    h = h + bottleneck(layer, "last", h, "tanh", 2.0)
    assert_equal([layer(x), *gradients(layer(x), x, layer)], [h, *gradients(h, x, layer)])


@pytest.mark.parametrize("projection_bias", [False, True])
@pytest.mark.parametrize("variant", ["series", "parallel"])
def test_fresh_adapter_leaves_the_models_output_as_it_was(make_llama, tokens, variant, projection_bias):
    targets = ["o_proj", "up_proj", "down_proj"]
    model = get_peft_model(
        make_llama(), config(variant=variant, target_modules=targets, projection_bias=projection_bias)
    )
    assert torch.equal(model(tokens).logits, make_llama()(tokens).logits)


def count(model: PeftModel) -> int:
    return model.get_nb_trainable_parameters()[0]


def test_parameters_are_counted_by_the_papers_formulas(make_llama):
    m, d, wide, layers = 4, 32, 48, 3
    places = {"target_modules": ["o_proj", "down_proj"]}
    assert count(get_peft_model(make_llama(), config(**places))) == layers * 2 * (2 * m * d)
    houlsby = 2 * m * d + d + m
    assert count(get_peft_model(make_llama(), config(**places, projection_bias=True))) == layers * 2 * houlsby
    parallel = config(variant="parallel", target_modules=["up_proj", "down_proj"])
    assert count(get_peft_model(make_llama(), parallel)) == layers * 2 * m * (d + wide)


LLAMA_7B = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32}
LLAMA3_8B = {**LLAMA_7B, "intermediate_size": 14336, "num_key_value_heads": 8}


@pytest.mark.parametrize(("sizes", "variant", "targets", "parameters"), [
    (LLAMA_7B, "series", ["down_proj"], 67_108_864),
    (LLAMA_7B, "parallel", ["up_proj", "down_proj"], 247_463_936),
    (LLAMA3_8B, "series", ["down_proj"], 67_108_864),
    (LLAMA3_8B, "parallel", ["up_proj", "down_proj"], 301_989_888),
])  # fmt: skip
def test_counts_on_large_models_are_those_of_llm_adapters(sizes, variant, targets, parameters):
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=32000, **sizes))
        adapted = get_peft_model(model, config(r=256, variant=variant, target_modules=targets))
    assert count(adapted) == parameters
    if sizes is LLAMA_7B:
        percent = 100 * parameters / (6_738_415_616 + parameters)
        assert round(percent, 2) == {"series": 0.99, "parallel": 3.54}[variant]
        assert adapted.get_nb_trainable_parameters()[1] == 6_738_415_616 + parameters


def test_dropout_is_on_the_adapters_input_and_off_in_evaluation(llama):
    model = get_peft_model(llama, config(dropout=0.5, variant="parallel", init_weights=False))
    layer = model.model.model.layers[0].mlp.down_proj
    x = torch.randn(1, 4, 48)
    layer.train()
    torch.manual_seed(3)
    got = layer(x)
    torch.manual_seed(3)
    dropped = x * torch.empty_like(x).bernoulli_(0.5) * 2
    torch.testing.assert_close(got, base(layer, x) + bottleneck(layer, "default", dropped, "tanh", 1.0))
    layer.eval()
    torch.testing.assert_close(layer(x), base(layer, x) + bottleneck(layer, "default", x, "tanh", 1.0))


@pytest.mark.parametrize(("arguments", "message"), [
    ({"r": 0}, "`r` must be an integer of at least 1, got 0"),
    ({"r": 1.5}, "`r` must be an integer"),
    ({"variant": "serial"}, "`variant` must be one of series, parallel, got 'serial'"),
    ({"scaling": 0.0}, "`scaling` must be positive"),
    ({"dropout": 1.0}, "`dropout` must be at least 0 and below 1"),
    ({"non_linearity": "tanhh"}, "Unknown non-linearity 'tanhh', choose one of .*tanh"),
    ({"non_linearity": "linear"}, "is linear: .* that is LoRA"),
    ({"non_linearity": "prelu"}, "has trainable parameters of its own"),
    ({"bias": "lora_only"}, "`bias` must be one of none, all, bottleneck_only"),
    ({"layers_pattern": "layers"}, "`layers_to_transform` must also be specified"),
    ({"target_modules": "down_proj", "layers_to_transform": [0]}, "needs `target_modules` to be a list"),
])  # fmt: skip
def test_values_that_can_not_work_are_refused_with_the_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        config(**arguments)
