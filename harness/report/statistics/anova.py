"""The variance model of outcomes y[seed, item] = mean + seed + item + residual, all but the mean random.

Analysis of variance without replication gives the mean squares; equating them with their expectations gives the
components (method of moments: Searle, Casella and McCulloch 1992, "Variance components", section 4.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

ROUNDING = 1e-12
"""Relative to the mean, a deviation below this is none."""


@dataclass(frozen=True)
class Anova:
    """The mean squares of outcomes (seeds, items); those that need a second seed or item are NaN without it.

    seed_means: (seeds,); smallest: of the outcomes; binary: whether all are 0 or 1 or, of differences, -1, 0 or 1.
    """

    mean: float
    seed_means: Floats
    ms_seed: float
    ms_item: float
    ms_residual: float
    items: int
    smallest: float
    binary: bool

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return len(self.seed_means)

    @property
    def components(self) -> tuple[float, float, float]:
        """The variances of seeds, items and residual; a negative estimate counts as 0."""
        seed = (self.ms_seed - self.ms_residual) / self.items
        item = (self.ms_item - self.ms_residual) / self.seeds
        return max(seed, 0.0), max(item, 0.0), self.ms_residual


def anova(outcomes: ArrayLike) -> Anova:
    """The analysis of variance of outcomes (seeds, items).

    Raises:
        ValueError: not two-dimensional, empty, or a value is missing.
    """
    values = checked(outcomes)
    seeds, items = values.shape
    mean = float(values.mean())
    smallest, binary = float(values.min()), bool(np.all(values * values == np.abs(values)))
    values = values - mean
    values[np.abs(values) < ROUNDING * abs(mean)] = 0.0
    by_seed, by_item = values.mean(axis=1), values.mean(axis=0)
    of_seeds, of_items = items * np.sum(by_seed**2), seeds * np.sum(by_item**2)
    residual = max(np.vdot(values, values) - of_seeds - of_items, 0.0)
    return Anova(
        mean=mean,
        seed_means=by_seed + mean,
        ms_seed=_per(of_seeds, seeds - 1),
        ms_item=_per(of_items, items - 1),
        ms_residual=_per(residual, (seeds - 1) * (items - 1)),
        items=items,
        smallest=smallest,
        binary=binary,
    )


def checked(outcomes: ArrayLike) -> Floats:
    """Outcomes (seeds, items) as numbers.

    Raises:
        ValueError: not two-dimensional, empty, or a value is missing.
    """
    values = np.asarray(outcomes, float)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"outcomes are (seeds, items), got an array of shape {values.shape}")
    if np.isnan(values).any():
        raise ValueError("outcomes are missing: leave out the seeds or items that lack them")
    return values


def _per(sum_of_squares: float, df: int) -> float:
    return float(sum_of_squares) / df if df else float("nan")
