"""Activations and their slopes, in place where PyTorch has that."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from transformers.activations import GELUActivation

aten = torch.ops.aten


def activate_(activation: nn.Module, t: torch.Tensor) -> torch.Tensor:
    """Returns activation(t), which may have been written over t."""
    if _is_gelu(activation):
        return aten.gelu_(t)
    if isinstance(activation, nn.SiLU):
        return F.silu(t, inplace=True)
    return activation(t)


def backpropagate_(activation: nn.Module, grad: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Returns grad · activation'(t), elementwise, which may have been written over t but never over grad."""
    if _is_gelu(activation):
        return aten.gelu_backward.grad_input(grad, t, grad_input=t)
    if isinstance(activation, nn.SiLU):
        return aten.silu_backward.grad_input(grad, t, grad_input=t)
    with torch.enable_grad():
        t = t.detach().requires_grad_()
        value = activation(t)
    (slope_times_grad,) = torch.autograd.grad(value, t, grad)
    return slope_times_grad


def _is_gelu(activation: nn.Module) -> bool:
    return isinstance(activation, GELUActivation) and activation.act is F.gelu
