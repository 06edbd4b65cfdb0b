"""What a method costs: the axes against which its accuracy is held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.report.figures import MISSING, count, duration, memory
from harness.report.rows import Row


@dataclass(frozen=True)
class Axis:
    """A cost: what a row spends (None where that isn't known), how it reads, and whether more of it is better."""

    title: str
    unit: str
    spent: Callable[[Row], float | None]
    shown: Callable[[float], str]
    more_is_better: bool = False

    def read(self, row: Row) -> str:
        """The row's cost for people."""
        spent = self.spent(row)
        return MISSING if spent is None else self.shown(spent)

    def effort(self, row: Row) -> float | None:
        """The row's cost, turned so that less is better."""
        spent = self.spent(row)
        return None if spent is None else -spent if self.more_is_better else spent


def _tokens_per_second(row: Row) -> float | None:
    return row.tokens / row.train_seconds if row.tokens and row.train_seconds else None


AXES = {
    "parameters": Axis("Trainable parameters", "", lambda row: row.trainable_params, lambda n: count(round(n))),
    "time": Axis("Training time", "s", lambda row: row.train_seconds, duration),
    "memory": Axis("Peak memory", "bytes", lambda row: row.peak_memory_bytes, lambda n: memory(round(n))),
    "bytes": Axis("Adapter size", "bytes", lambda row: row.adapter_bytes, lambda n: memory(round(n))),
    "speed": Axis("Training speed", "tokens/s", _tokens_per_second, lambda v: f"{v:,.0f} tokens/s", True),
}
"""By the names that a command takes. Times, memory and speed are of the machine that trained."""
