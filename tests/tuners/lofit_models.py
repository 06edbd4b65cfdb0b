"""Models with LoFiT adapters."""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from harness.tuners import LofitConfig


def config(**arguments: Any) -> LofitConfig:
    return LofitConfig(**{"heads": 5, "task_type": "CAUSAL_LM", **arguments})


def llama_of(**arguments: Any) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3}
    return LlamaForCausalLM(LlamaConfig(**{"num_attention_heads": 4, **sizes, **arguments})).eval()


def selected(base: nn.Module, **arguments: Any) -> PeftModel:
    """A model with five offsets that are far from zero."""
    model = get_peft_model(base, config(init_std=0.5, **arguments)).eval()
    model.base_model.select_heads("default")
    return model


def projections(model: PeftModel) -> list[nn.Module]:
    return [module for module in model.modules() if hasattr(module, "lofit_scale")]


def offsets(layer: nn.Module, adapter: str = "default") -> torch.Tensor:
    """(heads, head_dim), zero where a head is not selected."""
    every = torch.zeros(layer.num_heads, layer.head_dim, dtype=layer.lofit_offset[adapter].dtype)
    for head, offset in zip(layer.lofit_heads[adapter].tolist(), layer.lofit_offset[adapter], strict=True):
        every[head] = offset
    return every
