"""The adapted linear layer of MoSLoRA."""

from __future__ import annotations

import torch
from torch import nn

from ..lowrank import LowRankLayer
from ..lowrank.layer import zeros_or_kaiming
from ..placement import kaiming
from .config import MosLoraConfig


class MosLoraLayer(LowRankLayer):
    """MoSLoRA on an `nn.Linear` or a `Conv1D` (Wu, Wang, Zhao and Wong, EMNLP 2024, arXiv 2406.11909).

    `y = W0 x + (alpha / r) B W A drop(x)`; A: (r, in), W: (r, r), B: (out, r). A rank-r pair is a sum of r subspaces
    b_i a_i; the mixer W weighs all r² products b_i a_j, where LoRA has the identity in its place. A is
    Kaiming-uniform, B zero, W Kaiming-uniform or orthogonal: a mixer at zero beside a B at zero would never learn.
    """

    title = "MoSLoRA"
    adapter_layer_names: tuple[str, ...] = ("moslora_A", "moslora_mixer", "moslora_B")

    def make_weights(self, adapter_name: str, config: MosLoraConfig) -> None:
        """A: (r, in), mixer: (r, r), B: (out, r)."""
        self.moslora_A[adapter_name] = kaiming(config.r, self.in_features)
        self.moslora_mixer[adapter_name] = kaiming(config.r, config.r)
        if config.mixer_init == "orthogonal" and not self.moslora_mixer[adapter_name].is_meta:
            nn.init.orthogonal_(self.moslora_mixer[adapter_name])
        self.moslora_B[adapter_name] = zeros_or_kaiming(config.init_weights, self.out_features, config.r)

    def factors(self, adapter: str) -> tuple[torch.Tensor, ...]:
        """A, W, B."""
        return self.moslora_A[adapter], self.moslora_mixer[adapter], self.moslora_B[adapter]
