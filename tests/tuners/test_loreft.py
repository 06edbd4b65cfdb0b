"""What LoReFT computes, where, with how many parameters, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from harness.tuners import LoReftConfig
from harness.tuners.loreft import LoReftLayer
from harness.tuners.loreft.layer import orthonormal_rows

SIZES = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
}  # fmt: skip
TWO_KV = {**SIZES, "num_key_value_heads": 2}


def gemma2() -> Gemma2ForCausalLM:
    types = ["sliding_attention", "full_attention", "sliding_attention"]
    return Gemma2ForCausalLM(Gemma2Config(**TWO_KV, head_dim=8, sliding_window=4, layer_types=types))


def opt() -> OPTForCausalLM:
    sizes = {"hidden_size": 32, "word_embed_proj_dim": 16, "ffn_dim": 48, "num_hidden_layers": 3}
    return OPTForCausalLM(OPTConfig(vocab_size=64, **sizes, num_attention_heads=4, dropout=0.0))


ARCHITECTURES: dict[str, tuple[Callable[[], PreTrainedModel], str]] = {
    "llama": (lambda: LlamaForCausalLM(LlamaConfig(**TWO_KV)), "model.layers"),
    "qwen2": (lambda: Qwen2ForCausalLM(Qwen2Config(**TWO_KV)), "model.layers"),
    "gemma2": (gemma2, "model.layers"),
    "gpt2": (lambda: GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=3, n_head=4)), "transformer.h"),
    "opt": (opt, "model.decoder.layers"),
}
architectures = pytest.mark.parametrize("architecture", ARCHITECTURES)


def make(architecture: str) -> PreTrainedModel:
    torch.manual_seed(0)
    return ARCHITECTURES[architecture][0]().eval()


def config(**arguments: Any) -> LoReftConfig:
    return LoReftConfig(**{"r": 3, "positions": "f2+l2", "task_type": "CAUSAL_LM", **arguments})


def gram_schmidt(rows: torch.Tensor) -> torch.Tensor:
    """The rows made orthonormal one after the other."""
    done: list[torch.Tensor] = []
    for row in rows:
        for other in done:
            row = row - (row @ other) * other
        done.append(row / row.norm())
    return torch.stack(done)


def edit(layer: LoReftLayer, index: int, h: torch.Tensor) -> torch.Tensor:
    """h + R^T (W h + b - R h) for one token, by indices."""
    rotation = gram_schmidt(layer.loreft_rotation["default"][index])
    weight, bias = layer.loreft_weight["default"][index], layer.loreft_bias["default"][index]
    difference = torch.einsum("rd,d->r", weight, h) + bias - torch.einsum("rd,d->r", rotation, h)
    return h + torch.einsum("rd,r->d", rotation, difference)


def expected_logits(
    model: PeftModel, base: PreTrainedModel, layers: nn.ModuleList, tokens: torch.Tensor, edits: dict[int, int]
) -> torch.Tensor:
    """The bare model's logits for one row, where token t is edited by intervention `edits[t]` after each layer."""
    own = [module for module in model.modules() if isinstance(module, LoReftLayer)]

    def edited(layer: LoReftLayer) -> Callable[..., Any]:
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            h = output[0] if isinstance(output, tuple) else output
            rows = [edit(layer, edits[t], h[0, t]) if t in edits else h[0, t] for t in range(h.shape[1])]
            return (torch.stack(rows)[None], *output[1:]) if isinstance(output, tuple) else torch.stack(rows)[None]

        return hook

    hooks = [layer.register_forward_hook(edited(each)) for layer, each in zip(layers, own, strict=True)]
    logits = base(tokens[None]).logits[0]
    for hook in hooks:
        hook.remove()
    return logits


@architectures
@pytest.mark.parametrize("tied", [True, False])
def test_model_computes_the_equation_and_all_gradients_at_the_prompts_ends(architecture, tied):
    model = get_peft_model(make(architecture).double(), config(tied=tied)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn_like(weight))
    base, tokens = make(architecture).double(), torch.arange(3, 12)
    layers = base.get_submodule(ARCHITECTURES[architecture][1])
    last = 0 if tied else 1
    wanted = expected_logits(model, base, layers, tokens, {0: 0, 1: 0, 7: last, 8: last})
    got = model(tokens[None]).logits[0]
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    assert len(trained) == 9
    towards = torch.arange(got.numel(), dtype=got.dtype).reshape(got.shape).sin()
    ours, theirs = (torch.autograd.grad((each * towards).sum(), trained) for each in (got, wanted))
    for one, other in zip([got, *ours], [wanted, *theirs], strict=True):
        assert other.norm() > 0
        assert (one - other).norm() < 1e-10 * other.norm()
    assert not torch.allclose(got, base(tokens[None]).logits[0], atol=1e-3)


def test_rotation_has_orthonormal_rows_at_the_start_and_after_training(llama, tokens):
    model = get_peft_model(llama, config()).train()
    (held, *_) = [w for name, w in model.named_parameters() if "loreft_rotation" in name]
    start = held.detach().clone()
    torch.testing.assert_close(orthonormal_rows(held[0]), held[0])
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-2)
    labels = tokens.masked_fill(torch.arange(10) < 6, -100)
    losses = []
    for _ in range(15):
        loss = model(tokens, labels=labels).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] - 0.1
    rotation = orthonormal_rows(held[0])
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3))
    assert not torch.allclose(rotation, start[0], atol=1e-2)


def count(model: PeftModel) -> int:
    return model.get_nb_trainable_parameters()[0]


def test_parameters_are_two_matrices_and_a_vector_for_each_layer_and_intervention(make_llama):
    assert count(get_peft_model(make_llama(), config())) == 3 * (2 * 3 * 32 + 3)
    assert count(get_peft_model(make_llama(), config(tied=False))) == 2 * 3 * (2 * 3 * 32 + 3)
    assert count(get_peft_model(make_llama(), config(layers_to_transform=[0, 2]))) == 2 * (2 * 3 * 32 + 3)


@pytest.mark.parametrize(
    ("layers", "r", "tied", "base", "percent"),
    [(None, 8, True, 8_030_261_248, 0.026), ([3, 9, 18, 24], 4, False, 6_738_415_616, 0.0039)],
)
def test_count_is_the_papers_on_llama3_8b_and_on_llama_2_7b(layers, r, tied, base, percent):
    sizes = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 128}
    with torch.device("meta"):
        bare = LlamaForCausalLM(LlamaConfig(vocab_size=128, **sizes))
        arguments = {"r": r, "tied": tied, "positions": "f7+l7", "layers_to_transform": layers}
        found = count(get_peft_model(bare, config(**arguments)))
    assert found == (len(layers) if layers else 32) * (1 if tied else 2) * (2 * r * 4096 + r)
    assert 100 * found / base == pytest.approx(percent, abs=0.00005 if percent < 0.01 else 0.0005)


@architectures
def test_every_decoder_layer_or_those_asked_for_are_edited_and_recorded(architecture):
    path, tokens = ARCHITECTURES[architecture][1], torch.arange(3, 12)[None]
    for layers, edited in ((None, [0, 1, 2]), ([1], [1]), (2, [2])):
        base = make(architecture)
        before = base(tokens, output_hidden_states=True).hidden_states
        model = get_peft_model(base, config(layers_to_transform=layers)).eval()
        names = [name for name, module in model.model.named_modules() if isinstance(module, LoReftLayer)]
        assert names == [f"{path}.{index}.loreft" for index in edited]
        if edited[0] < 2:
            after = model(tokens, output_hidden_states=True).hidden_states
            here = edited[0] + 1
            assert torch.equal(after[here - 1], before[here - 1])
            changed = (after[here] - before[here]).abs().amax(dim=-1)[0] > 1e-4
            assert changed.tolist() == [True, True, False, False, False, False, False, True, True]


def test_layers_can_be_left_out_or_named_by_hand(make_llama):
    def edited(**arguments: Any) -> list[str]:
        model = get_peft_model(make_llama(), config(**arguments))
        return [name for name, module in model.model.named_modules() if isinstance(module, LoReftLayer)]

    assert edited(exclude_modules=["layers.1"]) == ["model.layers.0.loreft", "model.layers.2.loreft"]
    assert edited(target_modules=["layers.1"]) == ["model.layers.1.loreft"]
    assert edited(target_modules=r"model\.layers\.[01]") == ["model.layers.0.loreft", "model.layers.1.loreft"]


def test_dropout_acts_on_edited_tokens_in_training_only(llama, tokens):
    model = get_peft_model(llama, config(layers_to_transform=[0], dropout=0.5))
    still = model.eval()(tokens, output_hidden_states=True).hidden_states[1]
    moved = model.train()(tokens, output_hidden_states=True).hidden_states[1]
    assert torch.equal(still[:, 2:8], moved[:, 2:8])
    ends = torch.cat([moved[:, :2], moved[:, 8:]], dim=1), torch.cat([still[:, :2], still[:, 8:]], dim=1)
    dropped = ends[0] == 0
    assert 0.3 < dropped.float().mean() < 0.7
    torch.testing.assert_close(ends[0][~dropped], 2 * ends[1][~dropped])


@pytest.mark.parametrize("merge", ["merge_adapter", "merge_and_unload"])
def test_merging_is_refused_with_the_reason_before_anything_is_touched(llama, tokens, merge):
    model = get_peft_model(llama, config()).eval()
    before = model(tokens).logits
    with pytest.raises(NotImplementedError, match=r"can't be merged: it edits some tokens and not others"):
        getattr(model, merge)()
    assert torch.equal(model(tokens).logits, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"r": 0}, r"`r` must be an integer of at least 1, got 0"),
        ({"dropout": 1.0}, r"`dropout` must be at least 0 and below 1"),
        ({"positions": "first7"}, r"`positions` must be such as 'f7\+l7', 'f7', 'l7' or 'all', got 'first7'"),
        ({"positions": "f0+l7"}, r"`positions` must be such as"),
        ({"positions": "f7", "tied": False}, r"`tied=False` needs `positions` with both ends"),
        ({"target_modules": "all-linear"}, r"`target_modules` can't be 'all-linear'"),
        ({"target_modules": ["layers.0"], "layers_to_transform": [0]}, r"give no `target_modules` then"),
        ({"layers_to_transform": [0], "layers_pattern": "h"}, r"`layers_pattern` must not be given"),
        ({"bias": "loreft_only"}, r"A decoder layer has no bias of its own"),
    ],
)
def test_bad_values_are_refused_with_the_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        config(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"r": 33}, r"`r` must be at most 32, the width of the model's layers, got 33"),
        ({"layers_to_transform": [1, 3]}, r"names the layers \[3\], the model has 0 to 2"),
        ({"target_modules": ["h.0"]}, r"No module of the model is among `target_modules`"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_and_leaves_it_as_it_was(llama, arguments, message):
    names = [name for name, _ in llama.named_modules()]
    with pytest.raises(ValueError, match=message):
        get_peft_model(llama, config(**arguments))
    assert [name for name, _ in llama.named_modules()] == names


def test_a_model_with_an_encoder_is_refused():
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    with pytest.raises(ValueError, match="decoder-only language models"):
        get_peft_model(T5ForConditionalGeneration(T5Config(vocab_size=16, **sizes)), config(task_type=None))
