"""The memory of this machine and of its GPUs, found without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from harness.pipeline import main_memory
from harness.pipeline.gpus import gpus, visible_gpus


@dataclass(frozen=True)
class Devices:
    """Bytes of memory: the machine's, as far as this process may use it, and each GPU's (None: it does not tell)."""

    memory: int
    gpus: tuple[int | None, ...] = ()

    @classmethod
    def here(cls) -> Devices:
        """Those of this machine; one of Apple's shares its memory with its GPU."""
        memory = main_memory.total()
        if main_memory.is_shared_with_gpu():
            return cls(memory, (memory,))
        return cls(memory, tuple(gpu and gpu.total for gpu in gpus(visible_gpus())))

    @property
    def largest(self) -> int | None:
        """The memory of the largest GPU; without one, the machine's; None where a GPU does not tell."""
        known = [size for size in self.gpus if size is not None]
        return (max(known) if len(known) == len(self.gpus) else None) if self.gpus else self.memory
