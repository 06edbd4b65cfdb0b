"""The adapted linear layer of MELoRA."""

from __future__ import annotations

import torch
from torch import nn

from ..lowrank import LowRankLayer
from ..placement import kaiming
from .config import MeLoraConfig


class MeLoraLayer(LowRankLayer):
    """MELoRA on an `nn.Linear` or a `Conv1D` (Ren et al., ACL 2024, arXiv 2402.17263).

    `y = W0 x + (alpha / r) diag(B_1 A_1, ..., B_n A_n) drop(x)`; A_i: (r, in / n), B_i: (out / n, r). All mini LoRAs
    of a layer are one tensor. Each A_i is Kaiming-uniform, each B_i zero.
    """

    title = "MELoRA"
    adapter_layer_names: tuple[str, ...] = ("melora_A", "melora_B")

    def make_weights(self, adapter_name: str, config: MeLoraConfig) -> None:
        """A: (n, r, in / n), B: (n, out / n, r)."""
        r, n = config.r, config.n
        # The mini LoRAs are drawn as the rows of one matrix, so that the bound is that of their own inputs.
        A = kaiming(n * r, self.in_features // n).data.view(n, r, self.in_features // n)
        self.melora_A[adapter_name] = nn.Parameter(A)
        B = torch.zeros(n, self.out_features // n, r)
        if not config.init_weights:
            B = kaiming(self.out_features, r).data.view_as(B)
        self.melora_B[adapter_name] = nn.Parameter(B)

    def factors(self, adapter: str) -> tuple[torch.Tensor, ...]:
        """diag(A_1, ..., A_n): (n · r, in), diag(B_1, ..., B_n): (out, n · r)."""
        return torch.block_diag(*self.melora_A[adapter]), torch.block_diag(*self.melora_B[adapter])

    def apply_factors(self, x: torch.Tensor, adapter: str) -> torch.Tensor:
        """x: (..., in) -> (..., out), block by block."""
        A, B = self.melora_A[adapter], self.melora_B[adapter]
        blocks = x.unflatten(-1, (A.shape[0], A.shape[2]))
        code = torch.einsum("...ni,nri->...nr", blocks, A)
        return torch.einsum("...nr,nor->...no", code, B).flatten(-2)
