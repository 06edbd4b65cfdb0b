"""Two methods on the same items with the same seeds: the difference, and whether it could be chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from harness.report.statistics.anova import checked
from harness.report.statistics.mean import Target, analysed
from harness.report.statistics.noise import Noise, noise
from harness.report.statistics.proportions import mcnemar, paired_proportions


@dataclass(frozen=True)
class Comparison:
    """The mean of a - b in the outcomes' units, its interval, its p-value; None where it can't be known.

    wins, losses, ties: items on which a's mean over the seeds is above, below and at b's.
    """

    difference: float
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    wins: int
    losses: int
    ties: int
    seeds: int
    target: Target
    noise: Noise


def compare(a: Sequence[ArrayLike], b: Sequence[ArrayLike], weights: Sequence[float] | None = None) -> Comparison:
    """The paired comparison of two methods over tasks, with a 95 % interval.

    a, b: of each task the outcomes (seeds, items), the same seeds and items in the same order; a method without
    seeds (a bare base model) repeats its row. The variance model is that of one method (`noise`), of the differences:
    a seed that moves both methods alike cancels, one that does not adds up. With one seed the claim is about these
    two sets of weights: on a task of 0/1 outcomes McNemar's exact p-value and Bonett and Price's interval.

    Raises:
        ValueError: the two differ in shape, outcomes are missing, or tasks differ in their seeds.
    """
    pairs = [(checked(first), checked(second)) for first, second in zip(a, b, strict=True)]
    if any(first.shape != second.shape for first, second in pairs):
        raise ValueError("a paired comparison needs the same seeds and items on both sides")
    found, shares = analysed([first - second for first, second in pairs], weights)
    difference = float(sum(share * task.mean for share, task in zip(shares, found, strict=True)))
    signs = np.concatenate([_signs(first, second) for first, second in pairs])
    wins, losses = int((signs > 0).sum()), int((signs < 0).sum())
    spread = noise(found, shares)
    if spread.seeds == 1 and len(found) == 1 and found[0].binary:
        low, high = paired_proportions(wins, losses, found[0].items)
        p_value = mcnemar(wins, losses)
    else:
        half = _known(float(spread.half_width()))
        low, high = (None, None) if half is None else (difference - half, difference + half)
        p_value = None if half is None else float(spread.p_value(difference))
    return Comparison(
        difference=difference,
        stderr=_known(float(spread.stderr)),
        ci_low=low,
        ci_high=high,
        p_value=p_value,
        wins=wins,
        losses=losses,
        ties=len(signs) - wins - losses,
        seeds=spread.seeds,
        target="method" if spread.seeds > 1 else "weights",
        noise=spread,
    )


def _signs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Per item 1, -1 or 0: which side has the higher sum over the seeds, up to rounding."""
    gaps = first.sum(axis=0) - second.sum(axis=0)
    return np.where(np.abs(gaps) < 1e-9, 0, np.sign(gaps))


def _known(number: float) -> float | None:
    """The number, unless it is infinite, not a number, or a spread of 0: outcomes that never varied."""
    return number if math.isfinite(number) and number > 0 else None
