"""Which layers share an encoder and a decoder: those of one name and one shape, in real architectures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from harness.tuners import DenseLoraConfig


def adapt(base: nn.Module, targets: Any, **arguments: Any) -> PeftModel:
    return get_peft_model(base, DenseLoraConfig(r=3, dropout=0.0, target_modules=targets, **arguments)).eval()


def sharing(model: PeftModel) -> set[frozenset[str]]:
    """The sets of layers that read the same encoder and decoder, found by storage addresses."""
    groups: dict[tuple[int, int], set[str]] = defaultdict(set)
    for name, module in model.model.named_modules():
        if hasattr(module, "denselora_M"):
            pair = (module.denselora_encoder["default"], module.denselora_decoder["default"])
            groups[pair[0].data_ptr(), pair[1].data_ptr()].add(name)
            base = module.base_layer
            inputs, outputs = base.weight.T.shape if isinstance(base, nn.Linear) else base.weight.shape
            assert (pair[0].shape, pair[1].shape) == ((3, inputs), (outputs, 3))
    encoders, decoders = (len({address[i] for address in groups}) for i in (0, 1))
    assert len(groups) == encoders == decoders
    return {frozenset(names) for names in groups.values()}


def t5() -> T5ForConditionalGeneration:
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=64,
            d_model=24,
            d_kv=8,
            num_heads=2,
            d_ff=40,
            num_layers=2,
            num_decoder_layers=2,
            decoder_start_token_id=0,
        )
    )


def test_t5_shares_over_encoder_decoder_self_and_cross_attention():
    model = adapt(t5(), ["q", "k", "v", "o"])
    attention = [f"{side}.block.{i}.layer.0.SelfAttention" for side in ("encoder", "decoder") for i in range(2)]
    attention += [f"decoder.block.{i}.layer.1.EncDecAttention" for i in range(2)]
    assert sharing(model) == {frozenset(f"{name}.{letter}" for name in attention) for letter in "qkvo"}
    assert model.get_nb_trainable_parameters()[0] == 3 * 4 * (24 + 16) + 24 * 9
    tokens = torch.arange(8).reshape(1, 8)
    model(input_ids=tokens, labels=tokens).loss.backward()
    assert all(weight.grad is not None for weight in model.parameters() if weight.requires_grad)


def bert() -> BertModel:
    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertModel(BertConfig(vocab_size=64, **sizes))


def test_berts_modules_called_dense_are_apart_where_their_shapes_are():
    model = adapt(bert(), ["dense"])
    layers = [f"encoder.layer.{i}" for i in range(2)]
    assert sharing(model) == {
        frozenset([*(f"{layer}.attention.output.dense" for layer in layers), "pooler.dense"]),
        frozenset(f"{layer}.intermediate.dense" for layer in layers),
        frozenset(f"{layer}.output.dense" for layer in layers),
    }
    assert model.get_nb_trainable_parameters()[0] == 3 * ((24 + 24) + (24 + 40) + (40 + 24)) + 7 * 9
    assert model(torch.arange(8).reshape(1, 8)).last_hidden_state.shape == (1, 8, 24)


def test_gpt2s_two_c_proj_are_apart_and_can_be_chosen_one_by_one(gpt2):
    model = adapt(gpt2, ["attn.c_proj", "mlp.c_proj", "c_attn"])
    assert sharing(model) == {
        frozenset(f"transformer.h.{i}.{name}" for i in range(2))
        for name in ("attn.c_proj", "mlp.c_proj", "attn.c_attn")
    }
    assert model.get_nb_trainable_parameters()[0] == 3 * ((32 + 32) + (128 + 32) + (32 + 96)) + 6 * 9
    assert set(model.base_model.denselora_encoder._modules) == {"c_proj_32x32", "c_proj_128x32", "c_attn_32x96"}


def test_gpt2_with_one_c_proj_adapts_no_other(gpt2: GPT2LMHeadModel):
    model = adapt(gpt2, ["mlp.c_proj"])
    assert sharing(model) == {frozenset(f"transformer.h.{i}.mlp.c_proj" for i in range(2))}


def test_grouped_query_attention_has_narrower_keys_and_values_in_groups_of_their_own(llama):
    model = adapt(llama, ["q_proj", "k_proj", "v_proj"])
    assert sharing(model) == {
        frozenset(f"model.layers.{i}.self_attn.{name}" for i in range(3)) for name in ("q_proj", "k_proj", "v_proj")
    }
    shapes = {name: tuple(weight.shape) for name, weight in model.base_model.denselora_decoder.named_parameters()}
    assert shapes == {
        "q_proj_32x32.default": (32, 3),
        "k_proj_32x16.default": (16, 3),
        "v_proj_32x16.default": (16, 3),
    }


class Unequal(nn.Module):
    """Llama layers of two widths of MLP in turn, as pruned models and models of nested sizes have them."""

    def __init__(self):
        super().__init__()
        sizes = {"vocab_size": 64, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
        llamas = [
            LlamaForCausalLM(LlamaConfig(**sizes, intermediate_size=width, num_hidden_layers=4)) for width in (48, 80)
        ]
        self.model = llamas[0]
        for index in (1, 3):
            self.model.model.layers[index] = llamas[1].model.layers[index]

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model(tokens).logits


def test_layers_of_two_widths_share_with_their_like(tokens):
    model = adapt(Unequal(), ["q_proj", "up_proj", "down_proj"])
    layers = "model.model.layers"
    assert sharing(model) == {
        frozenset(f"{layers}.{i}.self_attn.q_proj" for i in range(4)),
        *(
            frozenset(f"{layers}.{i}.mlp.{name}" for i in where)
            for name in ("up_proj", "down_proj")
            for where in ((0, 2), (1, 3))
        ),
    }
    expected = 3 * ((32 + 32) + 2 * (32 + 48) + 2 * (32 + 80)) + 12 * 9
    assert model.get_nb_trainable_parameters()[0] == expected
    assert model(tokens).shape == (2, 10, 64)


@pytest.mark.parametrize(("make", "targets"), [(t5, ["q", "wi", "wo"]), (bert, ["dense", "query"])])
def test_models_with_several_kinds_of_groups_are_saved_and_loaded(
    make: Callable[[], nn.Module], targets: list[str], tmp_path
):
    torch.manual_seed(0)
    base = make().eval()
    state = {name: weight.clone() for name, weight in base.state_dict().items()}
    model = adapt(base, targets, init_weights=False)
    model.save_pretrained(tmp_path)
    again = make().eval()
    again.load_state_dict(state)
    loaded = PeftModel.from_pretrained(again, tmp_path)
    tokens = torch.arange(8).reshape(1, 8)
    inputs = {"decoder_input_ids": tokens} if make is t5 else {}
    assert torch.equal(loaded(input_ids=tokens, **inputs)[0], model(input_ids=tokens, **inputs)[0])
    assert sharing(loaded) == sharing(model)
