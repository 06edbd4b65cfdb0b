"""The configuration of Compacter and its checks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from ..bottleneck.config import check_non_linearity
from ..placement import PlacementConfig


@dataclass
class CompacterConfig(PlacementConfig):
    """Configuration of a [`CompacterModel`] (Karimi Mahabadi et al., NeurIPS 2021, arXiv 2106.04647, section 4).

    `y = h + f(h D + b) U + c` with the layer's output h: (batch, seq, d), D: (d, k), U: (k, d), b: (k,), c: (d,).
    D and U are low-rank parameterized hypercomplex multiplications (LPHM): `sum over i <= n of kron(A_i, s_i t_i)`,
    for D with s_i: (d/n, r) and t_i: (r, k/n), for U with s_i: (k/n, r) and t_i: (r, d/n). The A_i: (n, n) are
    shared by all projections of all layers; s, t, b and c belong to one layer. k is d / `reduction_factor`, and the
    next multiple of n where that is none.

    It starts near the identity: A normal with a standard deviation of `init_range`, each s_i and t_i Glorot-uniform
    with gain sqrt(2), b and c zero (released code).

    Raises:
        ValueError: a value is out of its range, or the non-linearity is unknown, linear, or has parameters.
    """

    method: ClassVar[str] = "compacter"

    r: int = field(default=1, metadata={"help": "The rank of the matrices that each layer has of its own."})
    n: int = field(
        default=4,
        metadata={"help": "The number of Kronecker products in a projection; it divides the layer's output size."},
    )
    reduction_factor: int = field(
        default=32, metadata={"help": "The layer's output size is divided by it to get the bottleneck's size."}
    )
    non_linearity: str = field(
        default="gelu_new", metadata={"help": "What stands between the projections: a name in transformers' ACT2FN."}
    )
    init_range: float = field(
        default=1e-4, metadata={"help": "The standard deviation with which the shared matrices start."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("r", "n", "reduction_factor"):
            self._check_at_least(name, 1)
        if not self.init_range > 0:
            raise ValueError(
                f"`init_range` must be positive, got {self.init_range!r}: shared matrices of zeros get no gradient."
            )
        check_non_linearity(self.non_linearity)

    def bottleneck_size(self, out_features: int) -> int:
        """Returns k for a layer of `out_features` outputs."""
        return self.n * math.ceil(out_features / (self.reduction_factor * self.n))
