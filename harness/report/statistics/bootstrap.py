"""A cross-check of the variance model that assumes less and, with few seeds, promises less."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from harness.report.statistics.anova import checked


def crossed_bootstrap(
    tasks: Sequence[ArrayLike],
    weights: Sequence[float] | None = None,
    draws: int = 2000,
    alpha: float = 0.05,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile interval of a mean (or mean difference) when seeds and items are drawn again, both at once.

    tasks: of each task the outcomes or differences (seeds, items); a draw takes the same seeds on every task.
    Source: Owen 2007, "The pigeonhole bootstrap". With k seeds it sees (k - 1)/k of the seeds' variance and knows of
    no t quantile, so that with 3 seeds it is far too short (docs/statistics.md). Nothing ranks by it.
    """
    values = [checked(outcomes) for outcomes in tasks]
    shares = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    generator = np.random.default_rng(seed)
    seeds = len(values[0])
    drawn_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    means = np.zeros(draws)
    for outcomes, share in zip(values, shares / shares.sum(), strict=True):
        means += share * _item_draws(outcomes, drawn_seeds, generator)
    low, high = np.quantile(means, (alpha / 2, 1 - alpha / 2))
    return float(low), float(high)


def _item_draws(outcomes: np.ndarray, drawn_seeds: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The mean of each draw, one at a time, so that memory stays small."""
    items = outcomes.shape[1]
    return np.array([(seeds @ outcomes)[generator.integers(items, size=items)].mean() for seeds in drawn_seeds])
