"""The configuration of MELoRA and its checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..lowrank import LowRankConfig


@dataclass
class MeLoraConfig(LowRankConfig):
    """Configuration of a [`MeLoraModel`]: `y = W0 x + (alpha / r) * diag(B_1 A_1, ..., B_n A_n) drop(x)`.

    x: (..., in) -> y: (..., out). A_i: (r, in / n) and B_i: (out / n, r) see one n-th of the input and of the output.
    The change has rank n · r and the parameters of one LoRA of rank r.

    Raises:
        ValueError: a value is out of its range.
    """

    method: ClassVar[str] = "melora"

    r: int = field(default=8, metadata={"help": "The rank of each mini LoRA."})
    n: int = field(default=4, metadata={"help": "The number of mini LoRAs; it divides the sizes of each layer."})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_at_least("n", 1)
