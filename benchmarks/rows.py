"""A measured number, its ratio to the baseline, and the target it is held against."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# (measure, contender, dropout): at most this many times the baseline. Dropout is None where it plays no part.
TARGETS = {
    ("step", "ours", 0.05): 0.90,
    ("step", "ours", 0.0): 0.97,
    ("memory", "ours", 0.05): 0.78,
    ("memory", "ours", 0.0): 1.05,
    ("generation", "ours", None): 1.05,
    ("merged", "only-matrix-merged", None): 1.02,
    ("merged", "only-matrix-unloaded", None): 1.02,
}
BASELINES = {"step": "lora", "memory": "lora", "generation": "lora", "merged": "base"}
UNITS = {
    "step": "seconds per step",
    "memory": "bytes saved for backward",
    "generation": "seconds per token",
    "merged": "seconds per token",
}


@dataclass(frozen=True)
class Setting:
    """What a table is about."""

    measure: str
    size: str
    dtype: str
    dropout: float | None


@dataclass(frozen=True)
class Row:
    """One contender in one setting; `ratio` is to the measure's baseline, the rest of it is None where it is exact."""

    setting: Setting
    contender: str
    value: float
    ratio: float
    quartiles: tuple[float, float] | None = None
    interval: tuple[float, float] | None = None
    tokens_per_second: float | None = None
    peak_bytes: int | None = None
    held_bytes: int | None = None

    @property
    def target(self) -> float | None:
        """The ratio that should not be exceeded."""
        return TARGETS.get((self.setting.measure, self.contender, self.setting.dropout))

    @property
    def verdict(self) -> str:
        """Whether the target is met, by how much, and if the interval spans it; empty without a target."""
        if self.target is None:
            return ""
        margin = abs(self.ratio - self.target)
        text = f"{'met' if self.ratio <= self.target else 'missed'} by {margin:.3f}"
        unsure = self.interval and self.interval[0] <= self.target < self.interval[1]
        return f"{text}, unsure" if unsure else text

    def document(self) -> dict[str, Any]:
        """Returns the row as JSON has it."""
        fields = asdict(self)
        return {
            **fields.pop("setting"),
            "unit": UNITS[self.setting.measure],
            "baseline": BASELINES[self.setting.measure],
            **fields,
            "target": self.target,
            "margin": None if self.target is None else self.ratio - self.target,
            "met": None if self.target is None else self.ratio <= self.target,
        }
