"""The memory of this machine and of its GPUs, found without importing torch."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.pipeline.gpus import gpus
from harness.schedule.machine import visible_gpus

LIMIT = Path("/sys/fs/cgroup/memory.max")
"""What a container may use of the memory."""


@dataclass(frozen=True)
class Devices:
    """Bytes of memory: the machine's, as far as this process may use it, and each GPU's (None: it does not tell)."""

    memory: int
    gpus: tuple[int | None, ...] = ()

    @classmethod
    def here(cls) -> Devices:
        """Those of this machine; one of Apple's shares its memory with its GPU."""
        memory = min(psutil.virtual_memory().total, _limit())
        if sys.platform == "darwin" and platform.machine() == "arm64":
            return cls(memory, (memory,))
        return cls(memory, tuple(gpu and gpu.total for gpu in gpus(visible_gpus())))

    @property
    def largest(self) -> int | None:
        """The memory of the largest GPU; without one, the machine's; None where a GPU does not tell."""
        known = [size for size in self.gpus if size is not None]
        return (max(known) if len(known) == len(self.gpus) else None) if self.gpus else self.memory


def _limit() -> int:
    text = LIMIT.read_text(encoding="ascii").strip() if os.access(LIMIT, os.R_OK) else ""
    return int(text) if text.isdigit() else sys.maxsize
