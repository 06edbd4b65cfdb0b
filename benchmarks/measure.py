"""Times several functions side by side, so that what slows the machine slows all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Timing:
    """How it is timed."""

    rounds: int
    warmup: int
    seed: int
    device: str
    clock: str


@dataclass(frozen=True)
class Times:
    """The seconds of each function in each round."""

    seconds: dict[str, list[float]]
    seed: int

    def median(self, name: str) -> float:
        """Returns the median of a function's seconds."""
        return _quantiles(torch.tensor(self.seconds[name], dtype=torch.float64), 0.5)[0]

    def ratio(self, name: str, baseline: str) -> tuple[float, tuple[float, float], tuple[float, float]]:
        """Compares two functions round by round.

        Returns the median of the ratios, their quartiles, and the median's 95 % interval by resampling the rounds.
        """
        own, other = (torch.tensor(self.seconds[key], dtype=torch.float64) for key in (name, baseline))
        ratios = own / other
        generator = torch.Generator().manual_seed(self.seed)
        picks = torch.randint(len(ratios), (2000, len(ratios)), generator=generator)
        low, median, high = _quantiles(ratios, 0.25, 0.5, 0.75)
        return median, (low, high), _quantiles(ratios[picks].quantile(0.5, dim=1), 0.025, 0.975)


def _quantiles(values: torch.Tensor, *at: float) -> tuple[float, ...]:
    return tuple(values.quantile(torch.tensor(at, dtype=values.dtype)).tolist())


def alternate(functions: dict[str, Callable[[], object]], timing: Timing) -> Times:
    """Calls every function once a round, in an order drawn anew each round; warm-up rounds are not counted."""
    names, seconds = list(functions), {name: [] for name in functions}
    generator = torch.Generator().manual_seed(timing.seed)
    gc.collect()
    gc.disable()
    try:
        for number in range(-timing.warmup, timing.rounds):
            for index in torch.randperm(len(names), generator=generator).tolist():
                taken = _time(functions[names[index]], timing)
                if number >= 0:
                    seconds[names[index]].append(taken)
    finally:
        gc.enable()
    return Times(seconds, timing.seed)


def _time(function: Callable[[], object], timing: Timing) -> float:
    now = CLOCKS[timing.clock]
    _synchronize(timing.device)
    start = now()
    function()
    _synchronize(timing.device)
    return now() - start


def _synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
