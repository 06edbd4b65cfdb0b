"""How many steps a training takes, and in which micro-batches."""

from __future__ import annotations

import math

from harness.spec.run import TrainSettings


def total_steps(settings: TrainSettings, examples: int) -> int:
    """The optimizer steps of a training on `examples` rows."""
    if settings.steps is not None:
        return settings.steps
    return max(1, math.ceil((settings.epochs or 1) * math.ceil(examples / settings.batch_size)))


def micro_batch(settings: TrainSettings) -> int:
    """The largest divisor of the batch within `micro_batch_size`, so that the effective batch is what it says."""
    bound = min(settings.micro_batch_size or settings.batch_size, settings.batch_size)
    return next(size for size in range(bound, 0, -1) if settings.batch_size % size == 0)
