"""How many parameters DenseLoRA trains on real models: r Σ_groups (in + out) + layers r², from configurations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import get_peft_model
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    Phi3Config,
    PretrainedConfig,
    Qwen2Config,
)

from harness.tuners import DenseLoraConfig

from .formula import LLAMA_3_8B

QKVUD = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]
LLAMA_2_7B = LlamaConfig(
    vocab_size=32000,
    hidden_size=4096,
    intermediate_size=11008,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=32,
)
MISTRAL_7B = MistralConfig(
    vocab_size=32000,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
)
QWEN_2_5_7B = Qwen2Config(
    vocab_size=152064,
    hidden_size=3584,
    intermediate_size=18944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
)
# Its heads are wider than hidden_size / num_attention_heads.
GEMMA_3_1B = Gemma3TextConfig(
    vocab_size=262144,
    hidden_size=1152,
    intermediate_size=6912,
    num_hidden_layers=26,
    num_attention_heads=4,
    num_key_value_heads=1,
    head_dim=256,
)
PHI_3_MINI = Phi3Config(
    vocab_size=32064,
    hidden_size=3072,
    intermediate_size=8192,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=32,
    pad_token_id=0,
)
GPT_2 = GPT2Config(vocab_size=50257, n_embd=768, n_layer=12, n_head=12, n_positions=1024)
OPT_1_3B = OPTConfig(
    vocab_size=50272,
    hidden_size=2048,
    ffn_dim=8192,
    num_hidden_layers=24,
    num_attention_heads=32,
    word_embed_proj_dim=2048,
)

# The sizes (in, out) of every kind of linear layer in a decoder layer, written out by hand.
SIZES = [
    ("Llama-2-7B", LLAMA_2_7B, 32, {
        "q_proj": (4096, 4096), "k_proj": (4096, 4096), "v_proj": (4096, 4096), "o_proj": (4096, 4096),
        "gate_proj": (4096, 11008), "up_proj": (4096, 11008), "down_proj": (11008, 4096),
    }),
    ("Llama-3-8B", LLAMA_3_8B, 32, {
        "q_proj": (4096, 4096), "k_proj": (4096, 1024), "v_proj": (4096, 1024), "o_proj": (4096, 4096),
        "gate_proj": (4096, 14336), "up_proj": (4096, 14336), "down_proj": (14336, 4096),
    }),
    ("Mistral-7B", MISTRAL_7B, 32, {
        "q_proj": (4096, 4096), "k_proj": (4096, 1024), "v_proj": (4096, 1024), "o_proj": (4096, 4096),
        "gate_proj": (4096, 14336), "up_proj": (4096, 14336), "down_proj": (14336, 4096),
    }),
    ("Qwen2.5-7B", QWEN_2_5_7B, 28, {
        "q_proj": (3584, 3584), "k_proj": (3584, 512), "v_proj": (3584, 512), "o_proj": (3584, 3584),
        "gate_proj": (3584, 18944), "up_proj": (3584, 18944), "down_proj": (18944, 3584),
    }),
    ("Gemma-3-1B", GEMMA_3_1B, 26, {
        "q_proj": (1152, 1024), "k_proj": (1152, 256), "v_proj": (1152, 256), "o_proj": (1024, 1152),
        "gate_proj": (1152, 6912), "up_proj": (1152, 6912), "down_proj": (6912, 1152),
    }),
    ("Phi-3-mini", PHI_3_MINI, 32, {
        "qkv_proj": (3072, 9216), "o_proj": (3072, 3072), "gate_up_proj": (3072, 16384), "down_proj": (8192, 3072),
    }),
    ("GPT-2", GPT_2, 12, {
        "c_attn": (768, 2304), "attn.c_proj": (768, 768), "c_fc": (768, 3072), "mlp.c_proj": (3072, 768),
    }),
    ("OPT-1.3B", OPT_1_3B, 24, {
        "q_proj": (2048, 2048), "k_proj": (2048, 2048), "v_proj": (2048, 2048), "out_proj": (2048, 2048),
        "fc1": (2048, 8192), "fc2": (8192, 2048),
    }),
]  # fmt: skip


def trained(model: PretrainedConfig, r: int, targets: Any) -> int:
    settings = DenseLoraConfig(r=r, target_modules=targets, task_type="CAUSAL_LM")
    with torch.device("meta"):
        adapted = get_peft_model(AutoModelForCausalLM.from_config(model), settings)
    assert all(weight.is_meta for weight in adapted.parameters())
    return adapted.get_nb_trainable_parameters()[0]


@pytest.mark.parametrize(("r", "by_name"), [(16, False), (100, True)])
@pytest.mark.parametrize(("name", "model", "layers", "sizes"), SIZES, ids=[name for name, *_ in SIZES])
def test_count_is_that_of_the_closed_formula(name, model, layers, sizes, r, by_name):
    expected = r * sum(map(sum, sizes.values())) + layers * len(sizes) * r**2
    assert trained(model, r, list(sizes) if by_name else "all-linear") == expected


@pytest.mark.parametrize(
    ("model", "r", "parameters"),
    [
        (LLAMA_3_8B, 16, 925_696),
        (LLAMA_3_8B, 32, 1_933_312),
        (LLAMA_3_8B, 64, 4_194_304),
        (LLAMA_3_8B, 256, 24_641_536),
        (LLAMA_2_7B, 16, 917_504),
        (LLAMA_2_7B, 32, 1_916_928),
        (LLAMA_2_7B, 64, 4_161_536),
    ],
)
def test_counts_are_the_papers(model, r, parameters):
    assert trained(model, r, QKVUD) == parameters
