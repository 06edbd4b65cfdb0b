"""Whether our tuner computes what the literal formula says."""

from __future__ import annotations

from dataclasses import replace

import torch
from contenders import Adapter, make_trainee
from literal import LiteralDenseLora
from torch import nn

# In bf16 each layer's output is rounded to 8 bits, and two implementations round differently.
TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2}
ATTRIBUTES = {"E": "denselora_encoder", "M": "denselora_M", "D": "denselora_decoder"}


def check_agreement(base: nn.Module, adapter: Adapter, dtype: str, ids: torch.Tensor, seed: int) -> dict[str, float]:
    """Returns the relative errors of our loss and gradients against the literal formula's, without dropout.

    Raises:
        AssertionError: one of them is over the tolerance, so that a comparison of their speed would mean nothing.
    """
    undropped = replace(adapter, dropout=0.0)
    ours, literal = (make_trainee(name, base, undropped, seed) for name in ("ours", "literal"))
    layers = [module for module in ours.modules() if hasattr(module, "denselora_M")]
    copies = [module for module in literal.modules() if isinstance(module, LiteralDenseLora)]
    for layer, copied in zip(layers, copies, strict=True):
        for name, attribute in ATTRIBUTES.items():
            getattr(copied, name).data.copy_(getattr(layer, attribute)["default"])
    losses = [model(input_ids=ids, labels=ids).loss for model in (ours, literal)]
    for loss in losses:
        loss.backward()
    errors = {"loss": _error(losses[:1], losses[1:])}
    for name, attribute in ATTRIBUTES.items():
        errors[name] = _error(
            [getattr(layer, attribute)["default"].grad for layer in layers],
            [getattr(copied, name).grad for copied in copies],
        )
    for name, error in errors.items():
        if not error <= TOLERANCE[dtype]:
            raise AssertionError(f"ours differs from the literal formula in {name}, relative error {error:.1e}")
    return errors


def _error(ours: list[torch.Tensor], literal: list[torch.Tensor]) -> float:
    a, b = (torch.cat([part.detach().double().flatten() for part in parts]) for parts in (ours, literal))
    return ((a - b).norm() / b.norm()).item()
