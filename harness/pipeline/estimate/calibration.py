"""How fast this machine multiplies matrices, measured once where no training is recorded to go by."""

from __future__ import annotations

import os
import platform
import time

from harness.pipeline.estimate.decoder import Decoder
from harness.pipeline.estimate.kept import Kept

EFFICIENCY = 0.55
"""The share of that speed at which whole trainings went (benchmarks/estimates.py, docs/estimates.md)."""
ROWS = 256
"""Tokens that are multiplied at once."""
LONG_ENOUGH = 0.2
"""Seconds of measurement."""
MOST = 2**27
"""Multiply-adds of one product: a few milliseconds, some of them undisturbed. Wider layers are measured in part."""
PASS = 0.02
"""Seconds that a layer takes in a micro-batch beside its products: what decides on tiny models, as measured."""


class Calibration:
    """The speed of products of a model's shape on this CPU, kept for later processes."""

    def __init__(self) -> None:
        self._kept = Kept("speed")

    def seconds(self, decoder: Decoder, dtype: str, threads: int, operations: float, passes: float) -> float | None:
        """How long so many operations take in so many micro-batches; None for a type that can't be measured."""
        if dtype not in ("float32", "bfloat16"):
            return None
        key = [platform.node(), platform.processor(), os.cpu_count(), threads, dtype, decoder.hidden, decoder.inner]
        if (speed := self._kept.get(key)) is None:
            speed = _speed(decoder.hidden, decoder.inner, dtype, threads)
            self._kept.put(key, speed)
        return operations / (speed * EFFICIENCY) + passes * decoder.layers * PASS

    def save(self) -> None:
        """Writes what was measured."""
        self._kept.save()


def _speed(width: int, out: int, dtype: str, threads: int) -> float:
    """Operations a second of (ROWS, width) times (width, out), the best of several."""
    import torch

    out = min(out, max(1, MOST // (ROWS * width)))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        left = torch.ones(ROWS, width, dtype=getattr(torch, dtype))
        right = torch.ones(width, out, dtype=getattr(torch, dtype))
        left @ right
        times, begun = [], time.perf_counter()
        while time.perf_counter() - begun < LONG_ENOUGH or len(times) < 3:
            start = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(before)
    return 2 * ROWS * width * out / min(times)
