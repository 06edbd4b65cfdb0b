"""The adapted linear layer of NoRA."""

from __future__ import annotations

import torch
from peft.utils.integrations import dequantize_module_weight, gather_params_ctx
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..lowrank import LowRankLayer
from ..lowrank.layer import zeros_or_kaiming
from ..placement import kaiming
from .config import NoraConfig

# The approximate decomposition finds so many vectors more than are kept: the last ones are the least exact.
OVERSAMPLING = 10


class NoraLayer(LowRankLayer):
    """NoRA on an `nn.Linear` or a `Conv1D` (Lin et al., 2024, arXiv 2408.10280).

    `y = W0 x + (alpha / r) B B' A' A drop(x)`; with W0 ≈ U S Vᵀ of rank q, the frozen outer pair is
    A = sqrt(S) Vᵀ: (q, in) and B = U sqrt(S): (out, q). The inner pair A': (r, q), Kaiming-uniform, and B': (q, r),
    zero, is trained. W0 stays whole, so that the function at the start is the base model's.

    The outer pair is saved with the adapter: singular vectors are unique only up to their signs (and rotations where
    values are equal), and an inner pair has a meaning only between the vectors it was trained with.
    """

    title = "NoRA"
    adapter_layer_names: tuple[str, ...] = ("nora_outer_A", "nora_inner_A", "nora_inner_B", "nora_outer_B")

    def make_weights(self, adapter_name: str, config: NoraConfig) -> None:
        """Outer A: (q, in), inner A: (r, q), inner B: (q, r), outer B: (out, q)."""
        q = min(config.outer_r, self.in_features, self.out_features)
        self.nora_inner_A[adapter_name] = kaiming(config.r, q)
        self.nora_inner_B[adapter_name] = zeros_or_kaiming(config.init_weights, q, config.r)
        self.frozen_peft_weight_names[adapter_name] = ("nora_outer_A", "nora_outer_B")
        A = nn.Parameter(torch.zeros(q, self.in_features), requires_grad=False)
        B = nn.Parameter(torch.zeros(self.out_features, q), requires_grad=False)
        # An adapter that is loaded for inference gets the pair that it was saved with.
        if not (config.inference_mode or A.is_meta or self.get_base_layer().weight.is_meta):
            A.data, B.data = self._decompose(q, config.svd_iterations)
        self.nora_outer_A[adapter_name], self.nora_outer_B[adapter_name] = A, B

    @torch.no_grad()
    def _decompose(self, q: int, iterations: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns sqrt(S) Vᵀ: (q, in) and U sqrt(S): (out, q) of the base weight, in float32 or above."""
        base = self.get_base_layer()
        with gather_params_ctx(base.weight):
            weight = dequantize_module_weight(base)
            weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
            weight = weight.T if isinstance(base, Conv1D) else weight
            if iterations:
                U, S, V = torch.svd_lowrank(weight, min(q + OVERSAMPLING, *weight.shape), niter=iterations)
            else:
                U, S, Vh = torch.linalg.svd(weight, full_matrices=False)
                V = Vh.T
        U, S, V = U[:, :q], S[:q], V[:, :q]
        root = S.sqrt()
        return (root * V).T.contiguous(), (U * root).contiguous()

    def factors(self, adapter: str) -> tuple[torch.Tensor, ...]:
        """A, A', B', B."""
        return tuple(getattr(self, name)[adapter] for name in self.adapter_layer_names)
