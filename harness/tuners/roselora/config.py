"""The configuration of RoseLoRA, its checks and its schedule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..lowrank import LowRankConfig


@dataclass
class RoseLoraConfig(LowRankConfig):
    """Configuration of a [`RoseLoraModel`]: `y = W0 x + (alpha / r) * B A drop(x)`, A and B sparse.

    x: (..., in) -> y: (..., out). Of each row of A (r, in) and each column of B (out, r), the share `density` that the
    loss is most sensitive to is kept in the end; the rest is zero. [`Sparsify`] does it, a callback of the trainer:
    without it, this is LoRA.

    Raises:
        ValueError: a value is out of its range.
    """

    method: ClassVar[str] = "roselora"

    density: float = field(
        default=0.05, metadata={"help": "The share of each row of A and column of B that is not zero in the end."}
    )
    dense_until: int = field(default=0, metadata={"help": "The optimizer steps at the start without any zeros."})
    sparse_from: int = field(default=0, metadata={"help": "The step from which on the density is the final one."})
    beta: float = field(default=0.8, metadata={"help": "How much of the former sensitivity a step keeps."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.density <= 1:
            raise ValueError(f"`density` must be above 0 and at most 1, got {self.density!r}.")
        if not 0 <= self.beta < 1:
            raise ValueError(f"`beta` must be at least 0 and below 1, got {self.beta!r}.")
        self._check_at_least("dense_until", 0)
        if not isinstance(self.sparse_from, int) or self.sparse_from < self.dense_until:
            raise ValueError(
                "`sparse_from` must be an integer of at least `dense_until`, got "
                f"sparse_from={self.sparse_from!r} and dense_until={self.dense_until}."
            )

    def density_at(self, step: int) -> float:
        """Returns the density after the optimizer step `step`, which counts from 0.

        It is 1 up to `dense_until`, falls cubically, `d + (1 - d) (1 - (t - t0) / (t1 - t0))³`, and is d from
        `sparse_from` on.
        """
        if step < self.dense_until:
            return 1.0
        if step >= self.sparse_from:
            return self.density
        progress = (step - self.dense_until) / (self.sparse_from - self.dense_until)
        return self.density + (1 - self.density) * (1 - progress) ** 3
