"""The variance of a mean over seeds and items, by where it comes from, and what it leaves open.

Var(mean) = σ²_seed/k + σ²_item/n + σ²_residual/(kn). The spread of the k seeds' own means, S²/k, estimates the first
and last term with k - 1 degrees of freedom; the items' mean square less the residual's, over kn, the middle one with
nearly n. Over tasks a seed has one mean, the weighted average of its tasks, whose spread holds whatever a seed does
to several tasks at once; the tasks' items are independent (Miller 2024, "Adding error bars to evals", for items).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.report.statistics.anova import ROUNDING, Anova
from harness.report.statistics.mixture import quantile, tail

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """The variances of an estimate, or of an array of estimates over the same number of seeds.

    seed: S²/k, what other trainings would change; item: what other test items would change; residual: how much of
    `seed` is due to single answers, so that more items shrink it (before seeds' effects, it may exceed `seed`); all in
    squared units of the outcomes. With one seed `seed` and `residual` are 0 and the estimate speaks of these trained
    weights only.
    """

    seed: Floats
    item: Floats
    residual: Floats
    seeds: int

    @property
    def stderr(self) -> Floats:
        """The standard error."""
        return np.sqrt(self.seed + self.item)

    @property
    def share(self) -> Floats:
        """The part of the variance that is known from the seeds' spread alone."""
        total = self.seed + self.item
        return np.divide(self.seed, total, out=np.zeros_like(total), where=(total > 0) & np.isfinite(total))

    def half_width(self, alpha: float = 0.05) -> Floats:
        """Half the width of the (1 - alpha) interval around the estimate; see `mixture`."""
        return quantile(self.share, max(self.seeds - 1, 1), alpha) * self.stderr

    def p_value(self, estimate: ArrayLike) -> Floats:
        """The two-sided p-value of the hypothesis that the true value is 0; NaN where nothing ever varied."""
        estimate, stderr = np.broadcast_arrays(np.asarray(estimate, float), self.stderr)
        ratio = np.divide(estimate, stderr, out=np.full(stderr.shape, np.nan), where=stderr > 0)
        return tail(ratio, self.share, max(self.seeds - 1, 1))


def noise(tasks: Sequence[Anova], weights: Sequence[float]) -> Noise:
    """The noise of the weighted mean over tasks that the same seeds answered, or of one for each table."""
    shares = np.asarray(weights, float) / np.sum(weights)
    seed_means = np.stack([task.seed_means for task in tasks], axis=-1)
    items = np.array([task.items for task in tasks])
    ms_item = np.stack([task.ms_item for task in tasks], axis=-1)
    ms_residual = np.stack([task.ms_residual for task in tasks], axis=-1)
    residual = ms_residual if tasks[0].seeds > 1 else np.zeros_like(ms_residual)
    binary = np.stack([task.binary for task in tasks], axis=-1)
    return joined(seed_means @ shares, ms_item, residual, items, shares, binary)


def joined(
    averages: Floats,
    ms_item: ArrayLike,
    ms_residual: ArrayLike,
    items: NDArray[np.int64],
    shares: Floats,
    binary: ArrayLike,
) -> Noise:
    """The noise from the seeds' averages (..., seeds) and the mean squares of tasks with these shares (..., tasks).

    binary: (..., tasks) or (tasks,).
    """
    seeds = averages.shape[-1]
    seed = averages.var(axis=-1, ddof=1) / seeds if seeds > 1 else np.zeros(averages.shape[:-1])
    seed = np.where(seed > (ROUNDING * averages.mean(axis=-1)) ** 2, seed, 0.0)
    item = item_noise(ms_item, ms_residual, items, shares, seeds)
    residual = (shares**2 / (seeds * items) * np.asarray(ms_residual, float)).sum(axis=-1)
    return Noise(seed, item + pseudo_items(binary, items, shares, seed + item, seeds), residual, seeds)


def item_noise(
    ms_item: ArrayLike, ms_residual: ArrayLike, items: NDArray[np.int64], shares: Floats, seeds: int
) -> Floats:
    """Σ w² (MS_item - MS_residual) / (kn) over tasks (..., tasks), at least 0.

    Where items are few it is raised by df/(df - 2), the variance of Student's t, with the df of Satterthwaite
    (1946, "An approximate distribution of estimates of variance components"); it is infinite where df is at most 2.
    """
    scale = shares**2 / (seeds * items)
    parts = scale * np.asarray(ms_item, float)
    whole = parts.sum(axis=-1)
    found = np.maximum((parts - scale * np.asarray(ms_residual, float)).sum(axis=-1), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = whole**2 / (parts**2 / (items - 1)).sum(axis=-1)
        raised = np.where(df > 2, found * df / (df - 2), np.inf)
    return np.where(whole == 0, 0.0, raised)


def pseudo_items(binary: ArrayLike, items: NDArray[np.int64], shares: Floats, variance: Floats, seeds: int) -> Floats:
    """What two more items, one for and one against, add to the variance of a mean of 0/1 outcomes: Σ w² 2/n².

    So that agreement on every item never proves equality, nor one seed's answers repeated by a second certainty
    (Agresti and Min 2005, "Simple improved confidence intervals for comparing matched proportions"; Bonett and Price
    2012). More seeds show the items' noise better and need less of it: it is divided by k - 1 unless nothing varied.
    """
    whole = np.sum(np.where(binary, 2 * (shares / items) ** 2, 0.0), axis=-1)
    return np.where(variance > 0, whole / max(seeds - 1, 1), whole)
