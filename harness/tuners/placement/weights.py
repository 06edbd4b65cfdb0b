"""How weights are drawn, and which can be merged into."""

from __future__ import annotations

import math

import torch
from torch import nn

PLAIN_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def kaiming(*shape: int) -> nn.Parameter:
    """Returns a matrix drawn as `nn.Linear` draws its weight: uniform within 1 / sqrt(shape[-1])."""
    weight = nn.Parameter(torch.empty(shape))
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
    return weight


def can_be_added_to(weight: torch.Tensor) -> bool:
    """Whether numbers can be added to a weight. Packed ones are of a class of their own or of another dtype."""
    return type(weight) in (nn.Parameter, torch.Tensor) and weight.dtype in PLAIN_DTYPES
