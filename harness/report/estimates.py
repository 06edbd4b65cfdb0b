"""Numbers with their uncertainty: one task's score, and the average over a benchmark.

Where the outcomes of all items are recorded, both follow from them (docs/statistics.md). Where they are not, from the
recorded standard errors: item noise is what another draw of test items would change, seed noise what another training
would. All seeds of a row answer the same items, so their item noise does not average away: the standard error of k
seeds is sqrt(mean(se_item²) + s_seed² / k), with s_seed their standard deviation, and an interval is 1.96 of it to
either side; nothing is compared by it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.report.statistics.mean import Mean

PERCENT = frozenset({"accuracy", "acc", "acc_norm", "exact_match", "f1", "extracted", "em", "mc1", "mc2"})
"""Metrics that are shares of one, shown in percent; all others are shown as they are."""
LOWER_IS_BETTER = frozenset(
    {"perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "ter", "loss"}
)
Z_95 = 1.96


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error, None where it can't be known."""

    value: float
    stderr: float | None


@dataclass(frozen=True)
class TaskValue:
    """A row's score on a task: `n` items, answered by the weights of `seeds` trainings; with its 95 % interval."""

    value: float
    stderr: float | None
    n: int
    seeds: int
    ci_low: float | None = None
    ci_high: float | None = None


@dataclass(frozen=True)
class Average:
    """The mean over all tasks of a benchmark, weighted where the benchmark is, with its 95 % interval."""

    value: float
    stderr: float | None
    ci_low: float | None
    ci_high: float | None


def bare(metric: str) -> str:
    """The metric's name without lm-eval's filter."""
    return metric.partition(",")[0]


def scale(metric: str) -> float:
    """What a recorded value of this metric is multiplied by to be shown."""
    return 100.0 if bare(metric) in PERCENT else 1.0


def averageable(metrics: Collection[str]) -> bool:
    """Whether a mean over these metrics means anything: all are shares, or all are the same."""
    names = {bare(metric) for metric in metrics}
    return names <= PERCENT or len(names) == 1


def falls(metrics: Collection[str]) -> bool:
    """Whether less of these metrics is better."""
    return bool(metrics) and {bare(metric) for metric in metrics} <= LOWER_IS_BETTER


def over_seeds(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over seeds that answered the same items (see the module's formula)."""
    value = statistics.fmean(estimate.value for estimate in estimates)
    errors = [estimate.stderr for estimate in estimates if estimate.stderr is not None]
    if len(errors) < len(estimates):
        return Estimate(value, None)
    items = statistics.fmean(error**2 for error in errors)
    spread = statistics.variance(e.value for e in estimates) / len(estimates) if len(estimates) > 1 else 0.0
    return Estimate(value, math.sqrt(items + spread))


def over_tasks(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """The weighted mean over tasks, whose items are independent: se = sqrt(Σ (w se)²) / Σ w."""
    value = statistics.fmean((estimate.value for estimate in estimates), weights)
    errors = [estimate.stderr for estimate in estimates if estimate.stderr is not None]
    if len(errors) < len(estimates):
        return Estimate(value, None)
    spread = math.sqrt(sum((weight * error) ** 2 for weight, error in zip(weights, errors, strict=True)))
    return Estimate(value, spread / sum(weights))


def from_mean(mean: Mean, unit: float) -> Average:
    """The mean over seeds, items and tasks that outcomes give, with its interval, times unit."""
    bounds = (mean.stderr, mean.ci_low, mean.ci_high)
    return Average(mean.value * unit, *(None if bound is None else bound * unit for bound in bounds))


def with_interval(estimate: Estimate) -> Average:
    """The estimate with its 95 % interval."""
    value, stderr = estimate.value, estimate.stderr
    if stderr is None:
        return Average(value, None, None, None)
    return Average(value, stderr, value - Z_95 * stderr, value + Z_95 * stderr)
