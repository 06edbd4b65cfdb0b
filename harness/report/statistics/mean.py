"""One method's mean with its interval, on a task or over the tasks of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

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


def mean_over_seeds(tasks: Sequence[ArrayLike], weights: Sequence[float] | None = None, alpha: float = 0.05) -> Mean:
    """The mean over seeds, items and tasks, with its (1 - alpha) interval.

    tasks: of each task the outcomes (seeds, items); the rows of all tasks are the same seeds. weights: of the tasks,
    alike if None. With two or more seeds the target is the method's mean (docs/statistics.md); with one it is the
    mean of these weights: Wilson's interval for a task of 0/1 outcomes.

    Raises:
        ValueError: outcomes are missing or not (seeds, items), or tasks differ in their seeds or number of weights.
    """
    found, shares = analysed(tasks, weights)
    value = sum(share * task.mean for share, task in zip(shares, found, strict=True))
    spread = noise(found, shares)
    low, high = _interval(found, value, float(spread.half_width(alpha)), alpha)
    stderr = float(spread.stderr)
    return Mean(
        value=value,
        stderr=stderr if math.isfinite(stderr) and stderr > 0 else None,
        ci_low=low,
        ci_high=high,
        seeds=spread.seeds,
        target="method" if spread.seeds > 1 else "weights",
    )


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


def _interval(tasks: Sequence[Anova], value: float, half: float, alpha: float) -> tuple[float | None, float | None]:
    proportion = all(task.binary and task.smallest >= 0 for task in tasks)
    if len(tasks) == 1 and proportion and (tasks[0].seeds == 1 or value in (0, 1)):
        return wilson(value * tasks[0].items, tasks[0].items, alpha)
    if not math.isfinite(half) or half == 0:
        return None, None
    return (max(0.0, value - half), min(1.0, value + half)) if proportion else (value - half, value + half)
