"""Tiny random models: real architectures, made from their configs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM


def _llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def make_llama() -> Callable[[], LlamaForCausalLM]:
    """Makes the same Llama each time: grouped-query attention; hidden 32, key and value 16, MLP 48; three layers."""
    return _llama


@pytest.fixture
def llama() -> LlamaForCausalLM:
    return _llama()


@pytest.fixture(scope="session")
def llama_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of the same Llama, for what loads a base model by its path."""
    path = tmp_path_factory.mktemp("llama")
    _llama().save_pretrained(path)
    return str(path)


@pytest.fixture
def gpt2() -> GPT2LMHeadModel:
    """A GPT-2, whose linear layers are `Conv1D`: weights are (in, out)."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    return GPT2LMHeadModel(config).eval()


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.arange(20).reshape(2, 10)
