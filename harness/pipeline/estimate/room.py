"""The memory that this machine has for a run, found without importing torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.pipeline import main_memory
from harness.pipeline.gpus import gpus
from harness.report.figures import memory

LIBRARIES = 600 * 2**20
"""Bytes that a training's process takes in main memory beside its tensors, as measured (benchmarks/estimates.py)."""


@dataclass(frozen=True)
class Room:
    """device: `cpu`, `mps` or a GPU's name, as trainings record it; free: bytes, None where that isn't known.

    ours: bytes of it that a process takes beside its tensors.
    """

    device: str
    free: int | None
    ours: int = 0

    @property
    def cuda(self) -> bool:
        """Whether it is a CUDA device's."""
        return self.device not in ("cpu", "mps")

    @classmethod
    def here(cls, visible: Sequence[str]) -> Room:
        """This machine's: the visible GPU with the least free memory, or main memory where there are none."""
        found = [cls(gpu.model, gpu.free) for gpu in gpus(visible) if gpu and gpu.free is not None]
        if visible:
            return min(found, key=lambda room: room.free or 0, default=cls("cuda", None))
        device = "mps" if main_memory.is_shared_with_gpu() else "cpu"
        return cls(device, main_memory.available(), LIBRARIES)

    def shortage(self, needed: int | None) -> str | None:
        """Why tensors of so many bytes don't fit here; None where they do, or where that isn't known."""
        if fits(needed, self) is not False:
            return None
        where = "memory" if self.ours else f"memory of {self.device}"
        return f"needs about {memory(_total(needed, self))}, {memory(self.free)} of {where} are free"


def fits(needed: int | None, room: Room) -> bool | None:
    """Whether tensors of so many bytes fit; None where that isn't known."""
    return None if needed is None or room.free is None else _total(needed, room) <= room.free


def _total(needed: int | None, room: Room) -> int:
    return (needed or 0) + room.ours
