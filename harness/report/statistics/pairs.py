"""All pairs of a leaderboard's methods at once: what `paired` finds for two, by products of matrices.

Sums over items of squares and products of differences follow from the Gram matrices of the methods' outcomes:
Σ (a - b)² = Σ a² + Σ b² - 2 Σ ab. So 1,770 pairs cost two matrix products a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.report.statistics.noise import Noise, joined

Floats = NDArray[np.float64]
EXACT_IN_FLOAT32 = 1 << 24
NAMES = ("difference", "seed", "item", "residual", "p_value", "half_width")


@dataclass(frozen=True)
class Pairs:
    """Every pair of methods (methods, methods): entry [a, b] is about a - b; NaN where they share under two seeds.

    seed, item, residual: the variances of the difference (see `Noise`); seeds: how many the two have in common.
    """

    difference: Floats
    seed: Floats
    item: Floats
    residual: Floats
    p_value: Floats
    half_width: Floats
    seeds: NDArray[np.int64]

    def noise(self, a: int, b: int) -> Noise:
        """The noise of one pair's difference."""
        return Noise(self.seed[a, b], self.item[a, b], self.residual[a, b], int(self.seeds[a, b]))

    def typical(self) -> Noise | None:
        """The median noise of the pairs that share the most seeds; None where no pair shares two."""
        known = np.triu(~np.isnan(self.difference), 1)
        if not known.any():
            return None
        seeds = int(self.seeds[known].max())
        chosen = known & (self.seeds == seeds)
        return Noise(*(np.median(part[chosen]) for part in (self.seed, self.item, self.residual)), seeds)


@dataclass(frozen=True)
class Squares:
    """Of one task, for all pairs: the differences' seed means (pairs, seeds) and mean squares (pairs,)."""

    seed_means: Floats
    ms_item: Floats
    ms_residual: Floats


def compare_all(
    tasks: Sequence[ArrayLike],
    present: ArrayLike,
    weights: Sequence[float] | None = None,
    alpha: float = 0.05,
) -> Pairs:
    """Compares all methods pairwise over tasks, each pair on the seeds that both have.

    tasks: of each task the outcomes (methods, seeds, items), whatever stands where a seed is absent. present:
    (methods, seeds), whether the seed has every one of these tasks; a method without seeds is present in all, with its
    row repeated. weights: of the tasks, alike if None. Intervals are difference ± half_width.

    Raises:
        ValueError: the shapes do not fit.
    """
    outcomes, here, shares = _fitting(tasks, present, weights)
    count = len(here)
    found = {name: np.full((count, count), np.nan) for name in NAMES}
    first, second = np.triu_indices(count, 1)
    common = here[first] & here[second]
    for seeds in np.unique(common, axis=0):
        chosen = (common == seeds).all(axis=1)
        if seeds.sum() < 2:
            continue
        a, b = first[chosen], second[chosen]
        difference, noise = _noise([task[:, seeds] for task in outcomes], a, b, shares)
        half, p_value = noise.half_width(alpha), noise.p_value(difference)
        for sign, i, j in ((1, a, b), (-1, b, a)):
            found["difference"][i, j] = sign * difference
            found["seed"][i, j], found["item"][i, j], found["residual"][i, j] = noise.seed, noise.item, noise.residual
            found["p_value"][i, j], found["half_width"][i, j] = p_value, half
    return Pairs(**found, seeds=here.astype(int) @ here.astype(int).T)


def wins(outcomes: ArrayLike) -> NDArray[np.int64]:
    """On how many items the first method's sum over the seeds is above the second's, (methods, methods).

    outcomes: (methods, seeds, items) of one task, of seeds that all methods have. Losses are its transpose.
    """
    values = np.asarray(outcomes)
    sums = values.sum(axis=1, dtype=np.int16 if values.dtype == bool else None)
    if values.dtype.kind == "f":
        sums = np.round(sums, 9)
    return np.array([(own > sums).sum(axis=1) for own in sums])


def _fitting(
    tasks: Sequence[ArrayLike], present: ArrayLike, weights: Sequence[float] | None
) -> tuple[list[np.ndarray], NDArray[np.bool_], Floats]:
    outcomes, here = [np.asarray(task) for task in tasks], np.asarray(present, bool)
    shares = np.ones(len(outcomes)) if weights is None else np.asarray(weights, float)
    if not outcomes or len(shares) != len(outcomes):
        raise ValueError(f"{len(outcomes)} tasks with {len(shares)} weights")
    for task in outcomes:
        if task.ndim != 3 or task.shape[:2] != here.shape:
            raise ValueError(f"outcomes are (methods, seeds, items) for {here.shape}, got {task.shape}")
    return outcomes, here, shares / shares.sum()


def _noise(tasks: Sequence[np.ndarray], a: np.ndarray, b: np.ndarray, shares: Floats) -> tuple[Floats, Noise]:
    """The differences of the pairs (a, b) and their noise."""
    methods, where = np.unique(np.concatenate([a, b]), return_inverse=True)
    a, b = where[: len(a)], where[len(a) :]
    squares = [_squares(task[methods], a, b) for task in tasks]
    averages = sum(share * task.seed_means for share, task in zip(shares, squares, strict=True))
    noise = joined(
        averages,
        np.stack([task.ms_item for task in squares], axis=-1),
        np.stack([task.ms_residual for task in squares], axis=-1),
        np.array([task.shape[2] for task in tasks]),
        shares,
        [_binary(task[methods]) for task in tasks],
    )
    return averages.mean(axis=-1), noise


def _squares(outcomes: np.ndarray, a: np.ndarray, b: np.ndarray) -> Squares:
    """The sums of squares of y_a - y_b by analysis of variance, from Gram matrices."""
    methods, seeds, items = outcomes.shape
    values = _numbers(outcomes)
    of_seed = values.sum(axis=2, dtype=float)
    of_item = values.sum(axis=1)
    total = _squared(values.reshape(methods, -1), a, b)
    by_item = _squared(of_item, a, b) / seeds
    seed_means = (of_seed[a] - of_seed[b]) / items
    by_seed = items * (seed_means**2).sum(axis=1)
    mean = seeds * items * seed_means.mean(axis=1) ** 2
    return Squares(
        seed_means=seed_means,
        ms_item=np.maximum(by_item - mean, 0.0) / (items - 1 or np.nan),
        ms_residual=np.maximum(total - by_item - by_seed + mean, 0.0) / (items - 1 or np.nan) / (seeds - 1),
    )


def _numbers(outcomes: np.ndarray) -> np.ndarray:
    """Outcomes as floats: single precision where it counts 0s and 1s exactly, otherwise double, about their mean."""
    seeds, items = outcomes.shape[1:]
    if outcomes.dtype.kind in "bui" and seeds**2 * items < EXACT_IN_FLOAT32 and _binary(outcomes):
        return outcomes.astype(np.float32)
    return outcomes.astype(float) - outcomes.mean(axis=(0, 1), dtype=float)


def _squared(rows: np.ndarray, a: np.ndarray, b: np.ndarray) -> Floats:
    """Σ (row_a - row_b)² of each pair."""
    gram = (rows @ rows.T).astype(float)
    own = gram.diagonal()
    return own[a] + own[b] - 2 * gram[a, b]


def _binary(outcomes: np.ndarray) -> bool:
    return outcomes.dtype == bool or bool(((outcomes == 0) | (outcomes == 1)).all())
