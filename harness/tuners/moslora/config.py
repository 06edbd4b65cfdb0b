"""The configuration of MoSLoRA and its checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..lowrank import LowRankConfig

MIXER_INITS = ("kaiming", "orthogonal")


@dataclass
class MosLoraConfig(LowRankConfig):
    """Configuration of a [`MosLoraModel`]: `y = W0 x + (alpha / r) * B W A drop(x)`.

    x: (..., in) -> y: (..., out). A: (r, in), the mixer W: (r, r) and B: (out, r) belong to one layer, and all are
    trained.

    Raises:
        ValueError: a value is out of its range.
    """

    method: ClassVar[str] = "moslora"

    mixer_init: str = field(
        default="kaiming",
        metadata={"help": "How the mixer starts: 'kaiming' (uniform, a = sqrt(5)) or 'orthogonal'."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mixer_init not in MIXER_INITS:
            raise ValueError(f"`mixer_init` must be one of {', '.join(MIXER_INITS)}, got {self.mixer_init!r}.")
