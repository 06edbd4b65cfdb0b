"""The configuration of NoRA and its checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..lowrank import LowRankConfig


@dataclass
class NoraConfig(LowRankConfig):
    """Configuration of a [`NoraModel`]: `y = W0 x + (alpha / r) * B B' A' A drop(x)`.

    x: (..., in) -> y: (..., out). The outer pair A: (q, in), B: (out, q) with q = `outer_r` is frozen: it is made of
    the largest singular values and vectors of W0. The inner pair A': (r, q), B': (q, r) is trained. A layer whose
    smaller side is below `outer_r` has that side as its q.

    Raises:
        ValueError: a value is out of its range.
    """

    method: ClassVar[str] = "nora"

    r: int = field(default=16, metadata={"help": "The rank of the trained inner pair."})
    outer_r: int = field(default=64, metadata={"help": "The rank of the frozen outer pair, in singular vectors."})
    svd_iterations: int = field(
        default=0,
        metadata={
            "help": (
                "0 decomposes the base weights exactly, which takes minutes to hours for a large model without a "
                "GPU. n > 0 approximates with n subspace iterations (`torch.svd_lowrank`), drawn at random."
            )
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_at_least("outer_r", 1)
        self._check_at_least("svd_iterations", 0)
        if self.r > self.outer_r:
            raise ValueError(
                f"`r` must be at most `outer_r`, got r={self.r} and outer_r={self.outer_r}: the inner pair is nested "
                "in the outer one, so a larger r would train parameters that add no rank."
            )
