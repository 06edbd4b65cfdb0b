"""What this machine offers to runs: cores, GPUs, and the threads that a run computes with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from harness.catalog.models import model_entry
from harness.errors import NotFoundError
from harness.pipeline.gpus import visible_gpus
from harness.spec.run import ModelRef, RunSpec

NARROW = 256
"""Up to this hidden size a second thread costs more than it computes."""
WIDTHS = ("hidden_size", "n_embd", "d_model")


@dataclass(frozen=True)
class Machine:
    """cores: those that this process may use; gpus: as CUDA_VISIBLE_DEVICES names them; asked: `$OMP_NUM_THREADS`."""

    cores: int
    gpus: tuple[str, ...] = ()
    asked: int | None = None

    @classmethod
    def here(cls) -> Machine:
        """This one, found without importing torch."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        asked = os.environ.get("OMP_NUM_THREADS", "")
        return cls(cores, visible_gpus(), int(asked) if asked.isdigit() and int(asked) > 0 else None)

    def threads(self, model: ModelRef) -> int:
        """The CPU threads of a run on this model: the same whichever executor does it, and beside whatever else.

        Sums are rounded otherwise on another number of threads, so that it must not depend on `--workers`: what was
        asked for, else 1 for a narrow model and for one behind an API, else the cores, shared evenly by the GPUs.
        """
        if self.asked is not None:
            return self.asked
        if model.api is not None or is_narrow(model):
            return 1
        return max(1, self.cores // max(1, len(self.gpus)))

    def places(self, workers: int | None, runs_per_device: int) -> list[str | None]:
        """The GPU of each worker: dealt out in turn to `workers` of them, else to so many for each GPU, or in all."""
        count = workers or runs_per_device * max(1, len(self.gpus))
        return [self.gpus[number % len(self.gpus)] if self.gpus else None for number in range(count)]

    def has_room(self, threads: int, busy: Sequence[int]) -> bool:
        """Whether a run of so many threads fits beside those that are being done. On GPUs it does."""
        return not busy or bool(self.gpus) or threads == 1 or threads + sum(busy) <= self.cores


def crowding(runs: Sequence[RunSpec], workers: int) -> str | None:
    """A warning where runs compute with so many threads that fewer than `workers` of them go on at once."""
    machine = Machine.here()
    threads = max((machine.threads(run.model) for run in runs), default=1)
    if machine.gpus or threads == 1 or workers * threads <= machine.cores:
        return None
    at_once, share = max(1, machine.cores // threads), max(1, machine.cores // workers)
    return (
        f"runs of {threads} threads each go on {at_once} at a time on {machine.cores} cores, not {workers}; "
        f"OMP_NUM_THREADS={share} gives each fewer threads (and rounds its sums differently)"
    )


def is_narrow(model: ModelRef) -> bool:
    """Whether a model is known to be too small for several threads to help."""
    try:
        config = model_entry(model.name, model.revision).config or {}
    except NotFoundError:
        return False
    return next((config[name] <= NARROW for name in WIDTHS if isinstance(config.get(name), int)), False)
