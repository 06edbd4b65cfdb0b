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

    Of many tables of outcomes (tables, seeds, items) each field is an array (tables,). seed_means: (..., seeds);
    smallest: of the outcomes; binary: whether all are 0 or 1 or, of differences, -1, 0 or 1.
    """

    mean: Floats
    seed_means: Floats
    ms_seed: Floats
    ms_item: Floats
    ms_residual: Floats
    items: int
    smallest: Floats
    binary: NDArray[np.bool_]

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return self.seed_means.shape[-1]


def anova(outcomes: ArrayLike) -> Anova:
    """The analysis of variance of outcomes (seeds, items), or of many tables of them (tables, seeds, items).

    Raises:
        ValueError: of another shape, empty, or a value is missing.
    """
    values = checked(outcomes, many=True)
    seeds, items = values.shape[-2:]
    both = (-2, -1)
    mean = values.mean(axis=both, keepdims=True)
    smallest, binary = values.min(axis=both), np.all(values * values == np.abs(values), axis=both)
    values = values - mean
    values[np.abs(values) < ROUNDING * np.abs(mean)] = 0.0
    by_seed, by_item = values.mean(axis=-1), values.mean(axis=-2)
    of_seeds, of_items = items * np.sum(by_seed**2, axis=-1), seeds * np.sum(by_item**2, axis=-1)
    residual = np.maximum(np.sum(values**2, axis=both) - of_seeds - of_items, 0.0)
    return Anova(
        mean=mean[..., 0, 0],
        seed_means=by_seed + mean[..., 0],
        ms_seed=_per(of_seeds, seeds - 1),
        ms_item=_per(of_items, items - 1),
        ms_residual=_per(residual, (seeds - 1) * (items - 1)),
        items=items,
        smallest=smallest,
        binary=binary,
    )


def checked(outcomes: ArrayLike, many: bool = False) -> Floats:
    """Outcomes (seeds, items) as numbers; many: or (tables, seeds, items).

    Raises:
        ValueError: of another shape, empty, or a value is missing.
    """
    values = np.asarray(outcomes, float)
    if values.ndim not in ((2, 3) if many else (2,)) or not values.size:
        raise ValueError(f"outcomes are (seeds, items), got an array of shape {values.shape}")
    if np.isnan(values).any():
        raise ValueError("outcomes are missing: leave out the seeds or items that lack them")
    return values


def _per(sum_of_squares: Floats, df: int) -> Floats:
    return sum_of_squares / (df or np.nan)
