"""What a leaderboard can see, and what would settle a pair that it can't."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from harness.report.statistics.mixture import power as power_of
from harness.report.statistics.noise import Noise

POWER = 0.8
MOST = 1024
"""How many times the seeds or the items at hand may grow before settling is called impossible."""


@dataclass(frozen=True)
class Settling:
    """How many more seeds on the same items, or more items for the same seeds, would settle a pair; None where no
    number would (up to 1,024 times those at hand), or where one seed leaves open how much seeds differ.
    """

    seeds: int | None
    items: int | None


def detectable(noise: Noise, alpha: float = 0.05) -> float:
    """The smallest true difference that a two-sided test at alpha finds with the probability POWER, in outcome units.

    The variances are taken for true. For the k seeds' spread the power is averaged over its distribution: the
    counterpart, for this test, of the noncentral t (for items alone: Miller 2024, "Adding error bars to evals").
    """
    low, high = 0.0, 4.0 * float(noise.stderr)
    while _power(high, noise, alpha) < POWER and math.isfinite(high):
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, noise, alpha) < POWER else (low, middle)
    return high


def settling(difference: float, noise: Noise, items: int, alpha: float = 0.05) -> Settling:
    """What would find a pair's difference with the probability POWER, if difference and variances are as estimated.

    items: of all tasks together; more items grow every task alike. alpha: of the comparison, so 0.05 divided by the
    number of comparisons where Holm has to pass it first.
    """
    if noise.seeds < 2:
        return Settling(None, None)

    def with_seeds(seeds: int) -> bool:
        part = noise.seeds / seeds
        return (
            _power(abs(difference), Noise(noise.seed * part, noise.item, noise.residual * part, seeds), alpha) >= POWER
        )

    own = max(float(noise.seed - noise.residual), 0.0)

    def with_items(number: int) -> bool:
        part = items / number
        shrunk = Noise(own + (noise.seed - own) * part, noise.item * part, noise.residual * part, noise.seeds)
        return _power(abs(difference), shrunk, alpha) >= POWER

    return Settling(_more(with_seeds, noise.seeds), _more(with_items, items))


def _power(difference: float, noise: Noise, alpha: float) -> float:
    return power_of(difference, float(noise.seed), float(noise.item), max(noise.seeds - 1, 1), alpha)


def _more(enough: Callable[[int], bool], at_hand: int) -> int | None:
    """How many more than those at hand are the fewest that are enough."""
    too_few, many = at_hand, 2 * at_hand
    while not enough(many):
        too_few, many = many, 2 * many
        if many > MOST * at_hand:
            return None
    while many - too_few > 1:
        middle = (too_few + many) // 2
        too_few, many = (too_few, middle) if enough(middle) else (middle, many)
    return many - at_hand
