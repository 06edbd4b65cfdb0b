"""The measures of density, as reports read them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, stdev

from harness.store.increments.records import Increment


@dataclass(frozen=True)
class Measure:
    """title: a column's; factor: to the unit that is shown; more_is_denser: else less of it is."""

    title: str
    factor: float = 1.0
    more_is_denser: bool = False


MEASURES = {
    "share_1": Measure("< 1 %", 100),
    "share_5": Measure("< 5 %", 100),
    "share_10": Measure("< 10 %", 100),
    "hoyer": Measure("Hoyer"),
    "gini": Measure("Gini"),
    "effective_rank": Measure("Eff. rank", 100, more_is_denser=True),
}
"""The fields of `Density`. Shares are in percent, the effective rank in percent of what normal entries have."""


def value(increment: Increment, name: str) -> float | None:
    """A matrix's measure in its unit; None where it means nothing."""
    found: float | None = getattr(increment.density, name)
    if found is None or name not in increment.gaussian:
        return None
    whole = increment.gaussian[name][0] if name == "effective_rank" else 1.0
    return MEASURES[name].factor * found / whole


def normal(increment: Increment, name: str) -> float | None:
    """The same of independent normal entries in its shape."""
    if name not in increment.gaussian:
        return None
    return MEASURES[name].factor * (1.0 if name == "effective_rank" else increment.gaussian[name][0])


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds, the latter None for one."""

    mean: float
    deviation: float | None


def spread(values: list[float]) -> Spread | None:
    """Of the values of several seeds; None where there is none."""
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None) if values else None


def mean_of(values: list[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [each for each in values if each is not None]
    return fmean(known) if known else None
