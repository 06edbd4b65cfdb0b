"""What tests of tuners compare with: shapes of models, and a layer with an independent formula."""

from __future__ import annotations

import torch
from torch import nn
from transformers import LlamaConfig

QKVUD = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]
SMALL = [(32, 32), (32, 16), (32, 16), (32, 48), (48, 32)]
"""(in, out) of the modules in QKVUD, in a layer of the fixture `llama`."""
LARGE = [(4096, 4096), (4096, 1024), (4096, 1024), (4096, 14336), (14336, 4096)]
"""The same of LLAMA_3_8B."""
LLAMA_3_8B = LlamaConfig(
    vocab_size=128256,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
)


def assert_computes(layer: nn.Module, x: torch.Tensor, weights: list[nn.Parameter], expected: torch.Tensor) -> None:
    """A layer's output on x, and the gradients of x and of the weights, are the expected ones."""
    towards = torch.randn_like(expected)
    got, wanted = ((y, *torch.autograd.grad((y * towards).sum(), [x, *weights])) for y in (layer(x), expected))
    for one, other in zip(got, wanted, strict=True):
        assert other.norm() > 0
        assert (one - other).norm() < 1e-10 * other.norm()
