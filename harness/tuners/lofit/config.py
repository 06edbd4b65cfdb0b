"""The configuration of LoFiT and its checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..placement import PlacementConfig


@dataclass
class LofitConfig(PlacementConfig):
    """Configuration of a [`LofitModel`]: first `z <- (1 + A) * z` at every attention head, then `z <- z + v` at K.

    z, A and v: (head_dim,), z being what a head gives out, before the attention's output projection. The scales A are
    trained under the penalty `l1_lambda * sum |A|`; the K heads with the largest |A|_2, over all layers, are selected;
    A is thrown away; only the offsets v of these heads are trained. Yin, Ye and Durrett, NeurIPS 2024 ("LoFiT:
    Localized Fine-tuning on LLM Representations", arXiv 2406.01563), section 3. [`SelectHeads`], a callback of the
    trainer, adds the penalty and changes over; without it, the scales are trained and nothing else.

    `target_modules` are the attentions' output projections; if not given, those of the model's architecture.

    Raises:
        ValueError: a value is out of its range.
    """

    method: ClassVar[str] = "lofit"

    heads: float = field(
        default=0.03125,
        metadata={"help": "K, the heads to select: a whole number, or below 1 a share of all heads."},
    )
    select_at: int | None = field(
        default=None,
        metadata={"help": "The optimizer steps for which the scales are trained. If not given, half of all."},
    )
    l1_lambda: float = field(default=1e-3, metadata={"help": "The weight of the scales' L1 norm in the loss."})
    scale_rate: float = field(
        default=0.25, metadata={"help": "The learning rate of the scales as a share of the training's."}
    )
    init_std: float = field(
        default=1e-3, metadata={"help": "The standard deviation of the normal distribution that A and v start from."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.heads, bool) or self.heads <= 0 or (self.heads >= 1 and self.heads != int(self.heads)):
            raise ValueError(f"`heads` must be a whole number, or a share above 0 and below 1, got {self.heads!r}.")
        if self.select_at is not None:
            self._check_at_least("select_at", 1)
        if self.l1_lambda < 0:
            raise ValueError(f"`l1_lambda` must be at least 0, got {self.l1_lambda!r}.")
        if not 0 < self.scale_rate <= 1:
            raise ValueError(f"`scale_rate` must be above 0 and at most 1, got {self.scale_rate!r}.")
        if self.init_std < 0:
            raise ValueError(f"`init_std` must be at least 0, got {self.init_std!r}.")

    def selected_of(self, heads: int) -> int:
        """Returns K for a model of so many heads; a share is rounded, and at least one head."""
        return int(self.heads) if self.heads >= 1 else max(1, round(self.heads * heads))
