"""What Compacter computes, what its layers share and how many parameters it trains."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model, inject_adapter_in_model
from safetensors.torch import load_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from harness.tuners import CompacterConfig


def config(**arguments: Any) -> CompacterConfig:
    return CompacterConfig(**{"target_modules": ["o_proj", "down_proj"], "task_type": "CAUSAL_LM", **arguments})


def gelu_new(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def projection(layer: nn.Module, way: str, adapter: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrix sum of kron(A_i, s_i t_i), made as the paper writes it, and the bias."""
    s, t, b = (getattr(layer, f"compacter_{way}_{part}")[adapter] for part in "stb")
    A = layer.compacter_A[adapter]
    return sum(torch.kron(A[i], s[i] @ t[i]) for i in range(len(A))), b


def compacter(layer: nn.Module, adapter: str, h: torch.Tensor) -> torch.Tensor:
    (down, b), (up, c) = (projection(layer, way, adapter) for way in ("down", "up"))
    return h + gelu_new(h @ down + b) @ up + c


def weights(layer: nn.Module) -> list[nn.Parameter]:
    names = ("down_s", "down_t", "down_b", "up_s", "up_t", "up_b", "A")
    return [
        weight for name in names for weight in getattr(layer, f"compacter_{name}").values() if weight.requires_grad
    ]


def gradients(output: torch.Tensor, x: torch.Tensor, layer: nn.Module) -> list[torch.Tensor]:
    towards = torch.arange(output.numel(), dtype=output.dtype).reshape(output.shape).sin()
    return [*torch.autograd.grad((output * towards).sum(), [x, *weights(layer)])]


def assert_equal(got: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    for ours, theirs in zip(got, expected, strict=True):
        assert theirs.norm() > 0
        assert (ours - theirs).norm() < 1e-10 * theirs.norm()


@pytest.mark.parametrize("arguments", [{}, {"n": 2, "r": 3, "reduction_factor": 4}, {"n": 8, "reduction_factor": 2}])
def test_layer_computes_its_equation_and_all_gradients(llama, arguments):
    model = get_peft_model(llama.double(), config(init_weights=False, **arguments)).eval()
    layer = model.model.model.layers[1].mlp.down_proj
    x = torch.randn(2, 5, 48, dtype=torch.float64, requires_grad=True)
    expected = compacter(layer, "default", x @ layer.base_layer.weight.T)
    assert len(weights(layer)) == 7
    assert_equal([layer(x), *gradients(layer(x), x, layer)], [expected, *gradients(expected, x, layer)])


def test_conv1d_computes_the_same_equation(gpt2):
    model = get_peft_model(gpt2.double(), config(target_modules=["c_fc"], init_weights=False)).eval()
    layer = model.model.transformer.h[0].mlp.c_fc
    x = torch.randn(2, 5, 32, dtype=torch.float64, requires_grad=True)
    expected = compacter(layer, "default", x @ layer.base_layer.weight + layer.base_layer.bias)
    assert_equal([layer(x), *gradients(layer(x), x, layer)], [expected, *gradients(expected, x, layer)])


def test_active_adapters_follow_each_other(llama):
    model = get_peft_model(llama.double(), config(init_weights=False))
    model.add_adapter("other", config(n=2, r=2, init_weights=False))
    model.base_model.set_adapter(["default", "other"])
    layer = model.eval().model.model.layers[0].self_attn.o_proj
    x = torch.randn(1, 3, 32, dtype=torch.float64, requires_grad=True)
    expected = compacter(layer, "other", compacter(layer, "default", x @ layer.base_layer.weight.T))
    assert_equal([layer(x), *gradients(layer(x), x, layer)], [expected, *gradients(expected, x, layer)])


def test_gradient_of_the_shared_matrices_is_the_sum_over_all_layers(llama, tokens):
    model = get_peft_model(llama.double(), config(init_weights=False))
    model(tokens, labels=tokens).loss.backward()
    shared = model.base_model.compacter_A["default"].grad
    layers = [module for module in model.modules() if hasattr(module, "compacter_A") and hasattr(module, "base_layer")]
    assert len(layers) == 6
    for layer in layers:
        own = nn.ParameterDict({"default": layer.compacter_A["default"].detach().clone()})
        layer.__dict__["compacter_A"] = own
    model(tokens, labels=tokens).loss.backward()
    parts = [layer.compacter_A["default"].grad for layer in layers]
    assert all(part.norm() > 0 for part in parts)
    assert (sum(parts) - shared).norm() < 1e-10 * shared.norm()


def test_starts_near_the_base_with_the_released_codes_distribution(make_llama, tokens):
    torch.manual_seed(0)
    model = get_peft_model(make_llama(), config(n=8, reduction_factor=1, r=2))
    torch.testing.assert_close(model(tokens).logits, make_llama()(tokens).logits, rtol=0, atol=1e-5)
    layer = model.model.model.layers[0].mlp.down_proj
    assert layer.compacter_A["default"].std().item() == pytest.approx(1e-4, rel=0.15)
    s, t = layer.compacter_down_s["default"], layer.compacter_up_t["default"]
    bound = math.sqrt(2) * math.sqrt(6 / (32 / 8 + 2))
    assert (s.shape, t.shape) == ((8, 4, 2), (8, 2, 4))
    for weight in (s, t):
        assert 0.9 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.25)
    assert not layer.compacter_down_b["default"].any()
    assert not layer.compacter_up_b["default"].any()


def count(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def test_bottleneck_is_the_next_multiple_of_n(make_llama):
    for n, reduction_factor, k in ((4, 8, 4), (4, 4, 8), (4, 3, 12), (4, 32, 4), (2, 32, 2), (1, 32, 1)):
        model = get_peft_model(make_llama(), config(n=n, r=2, reduction_factor=reduction_factor))
        per_layer = 2 * (2 * 32 + 2 * k) + 32 + k
        assert count(model) == n**3 + 6 * per_layer


@pytest.mark.parametrize(("targets", "adapters", "percent"), [
    (r".*(SelfAttention\.o|wo)", 48, 0.073), (r".*\.wo", 24, 0.047),
])  # fmt: skip
def test_counts_on_t5_base_are_the_papers_for_compacter_and_compacter_plus_plus(targets, adapters, percent):
    sizes = {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12, "vocab_size": 32128}
    with torch.device("meta"):
        model = T5ForConditionalGeneration(T5Config(**sizes))
        base = sum(weight.numel() for weight in model.parameters())
        adapted = get_peft_model(model, config(target_modules=targets, task_type="SEQ_2_SEQ_LM"))
    own = 2 * (768 + 24) + 768 + 24
    assert adapted.get_nb_trainable_parameters()[0] == 4**3 + adapters * own
    layer_norms = sum(weight.numel() for name, weight in model.named_parameters() if "layer_norm" in name)
    assert (base, layer_norms) == (222_903_552, 62 * 768)
    assert round(100 * (4**3 + adapters * own + layer_norms) / base, 3) == percent


def test_count_on_llama3_8b():
    sizes = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32}
    with torch.device("meta"):
        model = get_peft_model(LlamaForCausalLM(LlamaConfig(vocab_size=128, num_key_value_heads=8, **sizes)), config())
    assert model.get_nb_trainable_parameters()[0] == 4**3 + 64 * 3 * (4096 + 128) == 811_072


def assert_shared(model: PeftModel, adapter: str = "default") -> None:
    shared = model.base_model.compacter_A[adapter]
    layers = [module for module in model.model.modules() if hasattr(module, "compacter_A")]
    assert len(layers) == 6
    assert all(layer.compacter_A[adapter] is shared for layer in layers)
    assert [
        name for name, _ in model.named_parameters(remove_duplicate=False) if f"compacter_A.{adapter}" in name
    ] == [f"base_model.compacter_A.{adapter}"]


def test_all_layers_share_one_tensor_which_is_saved_once(llama, make_llama, tmp_path):
    model = get_peft_model(llama, config())
    model.save_pretrained(tmp_path)
    file = load_file(tmp_path / "adapter_model.safetensors")
    assert [key for key in file if "compacter_A" in key] == ["base_model.compacter_A"]
    for each in (model, copy.deepcopy(model), PeftModel.from_pretrained(make_llama(), tmp_path, is_trainable=True)):
        assert_shared(each)
        assert count(each) == 4**3 + 6 * 3 * (32 + 4)
        assert torch.equal(each.base_model.compacter_A["default"], file["base_model.compacter_A"])


@pytest.mark.parametrize("change", [lambda m: m.double(), lambda m: m.to(torch.bfloat16), lambda m: m.to("meta")])
def test_moving_and_casting_the_model_keeps_the_layers_together(llama, change):
    assert_shared(change(get_peft_model(llama, config())))


def test_half_precision_base_shares_in_float32(llama, tokens):
    model = get_peft_model(llama.to(torch.bfloat16), config())
    model.add_adapter("other", config())
    for adapter in ("default", "other"):
        assert_shared(model, adapter)
        assert model.base_model.compacter_A[adapter].dtype == torch.float32
    assert count(model) == 4**3 + 6 * 3 * (32 + 4)
    assert model(tokens).logits.dtype == torch.bfloat16


def test_adding_an_adapter_leaves_a_frozen_one_frozen(llama, make_llama, tmp_path):
    get_peft_model(llama, config()).save_pretrained(tmp_path)
    model = PeftModel.from_pretrained(make_llama(), tmp_path)
    assert count(model) == 0
    model.add_adapter("other", config())
    assert count(model) == 0
    model.set_adapter("other")
    assert count(model) == 4**3 + 6 * 3 * (32 + 4)


def test_deleting_an_adapter_deletes_its_shared_tensor(llama):
    model = get_peft_model(llama, config())
    model.add_adapter("other", config(n=2))
    model.delete_adapter("default")
    assert list(model.base_model.compacter_A) == ["other"]
    assert_shared(model, "other")


def test_adapting_an_adapted_model_again_starts_anew_and_shares_among_all_layers(llama):
    get_peft_model(llama, config(target_modules=["o_proj"], n=2, init_weights=False))
    model = get_peft_model(llama, config(n=4))
    shared = model.base_model.compacter_A["default"]
    assert shared.shape == (4, 4, 4)
    assert shared.abs().max() < 1e-3
    assert_shared(model)


def test_injection_that_would_lose_the_shared_tensor_is_refused(llama):
    with pytest.raises(ValueError, match="shared"):
        inject_adapter_in_model(config(), llama)


def test_n_that_does_not_divide_a_layers_output_is_refused_before_another_is_adapted(llama):
    names = [name for name, _ in llama.named_modules()]
    with pytest.raises(
        ValueError, match=r"'model.layers.0.self_attn.o_proj': its output size 32 is no multiple of n=3"
    ):
        get_peft_model(llama, config(n=3))
    assert [name for name, _ in llama.named_modules()] == names


@pytest.mark.parametrize(("arguments", "message"), [
    ({"r": 0}, "`r` must be an integer of at least 1, got 0"),
    ({"n": 0}, "`n` must be an integer of at least 1, got 0"),
    ({"reduction_factor": 0.5}, "`reduction_factor` must be an integer of at least 1, got 0.5"),
    ({"init_range": 0.0}, "`init_range` must be positive, got 0.0: .* no gradient"),
    ({"non_linearity": "linear"}, "is linear"),
    ({"bias": "bottleneck_only"}, "`bias` must be one of none, all, compacter_only"),
])  # fmt: skip
def test_values_that_can_not_work_are_refused_with_the_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        config(**arguments)
