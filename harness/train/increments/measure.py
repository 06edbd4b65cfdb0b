"""From two states of a model's trained parameters to their increments."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from harness.store.increments.records import Increment
from harness.train.increments.density import Array
from harness.train.increments.matrix import increment

Weights = Mapping[str, torch.Tensor]


def trained(model: nn.Module, names: Weights | None = None) -> dict[str, torch.Tensor]:
    """Copies of a model's trained parameters, or of those of these names, on the CPU; each shared one once."""
    return {
        name: weight.detach().to("cpu", torch.float32, copy=True)
        for name, weight in model.named_parameters()
        if weight.numel() and (weight.requires_grad if names is None else name in names)
    }


def increments(start: Weights, end: Weights) -> tuple[Increment, ...]:
    """What changed between two states of the same parameters, in the order of `start`.

    A parameter of more than two dimensions is read as a matrix by its first one. Parameters that are missing at the
    end, or have another shape there, are left out.
    """
    return tuple(
        increment(name, _matrix(before), _matrix(end[name]))
        for name, before in start.items()
        if name in end and end[name].shape == before.shape
    )


def _matrix(weight: torch.Tensor) -> Array:
    values = weight.to(torch.float64).numpy()
    return values.reshape(len(values), -1) if values.ndim > 2 else values
