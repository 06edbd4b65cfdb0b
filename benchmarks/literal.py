"""DenseLoRA as its formula reads, in plain torch: what `harness.tuners` is compared with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class LiteralDenseLora(nn.Module):
    """y = W0 x + s drop(act(D M drop(act(E drop(x))))), act = GELU (DenseLoRA paper, equations 3 to 5).

    x: (..., in) -> (..., out). E: (r, in), M: (r, r), D: (out, r); s is alpha / r.
    """

    def __init__(
        self, base_layer: nn.Module, E: nn.Parameter, M: nn.Parameter, D: nn.Parameter, scaling: float, dropout: float
    ) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.E, self.M, self.D = E, M, D
        self.scaling = scaling
        self.drop = nn.Dropout(dropout) if dropout > 0 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = self.base_layer(x)
        code = self.drop(F.gelu(F.linear(self.drop(x.to(self.E.dtype)), self.E)))
        wide = self.drop(F.gelu(F.linear(F.linear(code, self.M), self.D)))
        return (result + self.scaling * wide).to(result.dtype)


def inject_literal(model: nn.Module, targets: list[str], r: int, alpha: float, dropout: float) -> None:
    """Replaces every linear layer whose name ends in one of `targets`, in place.

    Layers of the same last name and sizes share E and D. All three matrices start as N(0, 1 / columns), in fp32.
    """
    pairs: dict[tuple[str, int, int], tuple[nn.Parameter, nn.Parameter]] = {}
    for path, layer in list(model.named_modules()):
        parent, _, name = path.rpartition(".")
        if name not in targets:
            continue
        key = (name, layer.in_features, layer.out_features)
        if key not in pairs:
            pairs[key] = (_random(r, layer.in_features, layer), _random(layer.out_features, r, layer))
        E, D = pairs[key]
        literal = LiteralDenseLora(layer, E, _random(r, r, layer), D, alpha / r, dropout)
        setattr(model.get_submodule(parent), name, literal)


def _random(rows: int, columns: int, like: nn.Linear) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, columns, device=like.weight.device) / columns**0.5)
