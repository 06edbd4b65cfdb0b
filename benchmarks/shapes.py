"""The base models that are measured: random Llamas of known shapes, or a model from a directory."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

SHAPES = {
    "tiny": {
        "num_hidden_layers": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 64,
    },
    "small": {
        "num_hidden_layers": 6,
        "hidden_size": 512,
        "intermediate_size": 1536,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "vocab_size": 2048,
    },
    "medium": {
        "num_hidden_layers": 12,
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_attention_heads": 12,
        "num_key_value_heads": 12,
        "vocab_size": 2048,
    },
    "smollm2-135m": {
        "num_hidden_layers": 30,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "tie_word_embeddings": True,
    },
    "llama3-8b": {
        "num_hidden_layers": 32,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
}


def make_base(size: str, dtype: str, device: str, seed: int) -> nn.Module:
    """Returns a frozen causal language model in evaluation mode.

    `size` is a key of `SHAPES` (random weights, the same ones for the same seed) or a directory that
    `save_pretrained` wrote.

    Raises:
        ValueError: `size` is neither.
    """
    if size in SHAPES:
        torch.manual_seed(seed)
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(LlamaConfig(**SHAPES[size]), dtype=DTYPES[dtype])
    elif Path(size).is_dir():
        model = AutoModelForCausalLM.from_pretrained(size, dtype=DTYPES[dtype]).to(device)
    else:
        raise ValueError(f"{size!r} is neither a directory nor one of {', '.join(SHAPES)}.")
    return model.eval().requires_grad_(False)
