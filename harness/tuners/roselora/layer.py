"""The adapted linear layer of RoseLoRA."""

from __future__ import annotations

import torch
from torch import nn

from ..lowrank import LowRankLayer
from ..lowrank.layer import zeros_or_kaiming
from ..placement import kaiming
from .config import RoseLoraConfig


class RoseLoraLayer(LowRankLayer):
    """RoseLoRA on an `nn.Linear` or a `Conv1D` (Wang et al., EMNLP 2024, arXiv 2406.10777).

    `y = W0 x + (alpha / r) B A drop(x)`; A: (r, in) with sparse rows, Kaiming-uniform at first, B: (out, r) with
    sparse columns, zero at first. Sparse rows and columns make the product B A sparse, which sparse matrices alone do
    not. What is kept is what the loss is sensitive to: I = |w · dL/dw|, smoothed over the steps.

    `sensitivity[adapter]`, a pair, is A's (r, in) and B's (out, r), while an adapter is being trained.
    """

    title = "RoseLoRA"
    adapter_layer_names: tuple[str, ...] = ("roselora_A", "roselora_B")
    other_param_names: tuple[str, ...] = (*LowRankLayer.other_param_names, "sensitivity")

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: RoseLoraConfig) -> None:
        # The first adapter is made in the constructor above, before which a module takes no plain assignment.
        self.__dict__["sensitivity"] = {}
        super().__init__(base_layer, adapter_name, config)

    def make_weights(self, adapter_name: str, config: RoseLoraConfig) -> None:
        """A: (r, in), B: (out, r)."""
        self.roselora_A[adapter_name] = kaiming(config.r, self.in_features)
        self.roselora_B[adapter_name] = zeros_or_kaiming(config.init_weights, self.out_features, config.r)
        self.sensitivity.pop(adapter_name, None)

    def factors(self, adapter: str) -> tuple[torch.Tensor, ...]:
        """A, B."""
        return self.roselora_A[adapter], self.roselora_B[adapter]

    @torch.no_grad()
    def update_sensitivity(self, adapter: str, beta: float) -> None:
        """Sets I to beta I + (1 - beta) |w · dL/dw|, at first to |w · dL/dw|. The gradients must be there.

        A gradient that overflowed, with which the optimizer makes no step either, counts as zero.
        """
        found = [(weight * weight.grad).abs_().nan_to_num_(nan=0, posinf=0) for weight in self.factors(adapter)]
        known = self.sensitivity.get(adapter)
        if known is not None:
            found = [beta * old.to(new.device) + (1 - beta) * new for old, new in zip(known, found, strict=True)]
        self.sensitivity[adapter] = (found[0], found[1])

    @torch.no_grad()
    def prune(self, adapter: str, density: float) -> None:
        """Sets to zero all but the most sensitive entries of each row of A and each column of B.

        Of n entries, density · n are kept, rounded down, and at least one.
        """
        for weight, sensitivity, dim in zip(self.factors(adapter), self.sensitivity[adapter], (1, 0), strict=True):
            # A share such as 0.29 of 100 must not lose an entry to rounding.
            kept = max(1, int(density * weight.shape[dim] + 1e-9))
            positions = sensitivity.topk(kept, dim=dim, sorted=False).indices
            mask = torch.ones_like(weight, dtype=torch.bool).scatter_(dim, positions, False)
            weight.masked_fill_(mask, 0)
