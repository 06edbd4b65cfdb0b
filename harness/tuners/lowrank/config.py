"""The fields that the configurations of low-rank tuners share, and their checks."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..placement import PlacementConfig


@dataclass
class LowRankConfig(PlacementConfig):
    """Configuration of a tuner whose adapter adds `(alpha / r) * P drop(x)`, P a product of narrow matrices.

    Raises:
        ValueError: a value is out of its range.
    """

    r: int = field(default=16, metadata={"help": "The rank of the trained matrices."})
    alpha: float = field(default=32, metadata={"help": "The adapter's output is multiplied by alpha / r."})
    dropout: float = field(default=0.05, metadata={"help": "Dropout of the adapter's input."})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_at_least("r", 1)
        self._check_positive("alpha")
        self._check_dropout("dropout")
