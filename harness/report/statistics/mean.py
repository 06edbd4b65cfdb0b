"""One method's mean with its interval, on a task or over the tasks of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from harness.report.statistics.anova import Anova, anova
from harness.report.statistics.noise import noise
from harness.report.statistics.proportions import wilson

Target = Literal["method", "weights"]
"""About what an interval speaks: the method with other seeds and other items, or these trained weights on other
items."""


@dataclass(frozen=True)
class Mean:
    """A mean over seeds and items in the outcomes' units, with its interval; None where it can't be known."""

    value: float
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    seeds: int
    target: Target


def means_over_seeds(
    tasks: Sequence[ArrayLike], weights: Sequence[float] | None = None, alpha: float = 0.05
) -> list[Mean]:
    """Of many methods the mean over seeds, items and tasks, with its (1 - alpha) interval.

    tasks: of each task the outcomes (methods, seeds, items); the rows of all tasks are the same seeds. weights: of the
    tasks, alike if None. With two or more seeds the target is the method's mean (docs/statistics.md); with one it is
    the mean of these weights: Wilson's interval for a task of 0/1 outcomes.

    Raises:
        ValueError: outcomes are missing or of another shape, or tasks differ in their seeds or number of weights.
    """
    found, shares = analysed(tasks, weights)
    values = sum(share * task.mean for share, task in zip(shares, found, strict=True))
    spread = noise(found, shares)
    halves, stderrs = spread.half_width(alpha), spread.stderr
    proportions = np.all([task.binary & (task.smallest >= 0) for task in found], axis=0)
    seeds, items = spread.seeds, found[0].items if len(found) == 1 else None
    means = []
    for value, half, stderr, proportion in zip(values, halves, stderrs, proportions, strict=True):
        alone = items if proportion and (seeds == 1 or value in (0, 1)) else None
        low, high = _interval(float(value), float(half), alpha, bool(proportion), alone)
        known = math.isfinite(stderr) and stderr > 0
        target: Target = "method" if seeds > 1 else "weights"
        means.append(Mean(float(value), float(stderr) if known else None, low, high, seeds, target))
    return means


def analysed(tasks: Sequence[ArrayLike], weights: Sequence[float] | None) -> tuple[list[Anova], list[float]]:
    """The tasks' variances and their weights, which sum to 1.

    Raises:
        ValueError: outcomes are missing or not (seeds, items), or tasks differ in their seeds or number of weights.
    """
    found = [anova(outcomes) for outcomes in tasks]
    weights = [1.0] * len(found) if weights is None else list(weights)
    if not found or len(weights) != len(found):
        raise ValueError(f"{len(found)} tasks with {len(weights)} weights")
    if len({task.seeds for task in found}) > 1:
        raise ValueError("an average needs the same seeds on every task")
    return found, [weight / sum(weights) for weight in weights]


def _interval(
    value: float, half: float, alpha: float, proportion: bool, alone: int | None
) -> tuple[float | None, float | None]:
    """alone: the items of the one task, 0/1 outcomes of one set of weights, or of several that never differ."""
    if alone is not None:
        return wilson(value * alone, alone, alpha)
    if not math.isfinite(half) or half == 0:
        return None, None
    return (max(0.0, value - half), min(1.0, value + half)) if proportion else (value - half, value + half)
