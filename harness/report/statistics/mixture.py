"""How far an estimate strays from the truth when its seed noise is known from a few seeds and its item noise well.

|√A T + √B Z|, with A and B the estimated variances, T Student's t with a few degrees of freedom and Z normal, is
the Behrens-Fisher distribution with one known variance (Fisher 1935, "The fiducial argument in statistical
inference"; its tests err on the safe side: Robinson 1976, "Properties of Student's t and of the Behrens-Fisher
solution"). Given W = χ²/df, T is normal with variance 1/W, so that every probability is an average of normal ones
over W. That needs neither an incomplete beta function nor scipy, whose import takes longer than a report may.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

STEP = 0.6
"""Between the nodes of the integral over log W: at most this, and this many of log W's standard deviations."""
FINE = 0.02
"""The same for `power`, whose integrand has a step."""
NEGLIGIBLE = 45.0
"""Where the density of log W has fallen by e^-45 from its peak, the integral ends."""
LARGEST_DF = 1e6
MOST_STEPS = 30
SHARES = np.linspace(0.0, 1.0, 97) ** 3
"""Where quantiles are computed: dense near no seed noise, where they change fastest."""

_erfc = np.frompyfunc(math.erfc, 1, 1)


def tail(ratio: ArrayLike, share: ArrayLike, df: float) -> Floats:
    """P(|√share T + √(1 - share) Z| > ratio): the two-sided p-value of an estimate `ratio` standard errors from null.

    share: of seed noise in the estimated variance, 0 to 1; df: of the seed noise, above 0.
    At share 1 this is Student's t, at share 0 the normal distribution.
    """
    ratio, share = np.broadcast_arrays(np.abs(np.asarray(ratio, float)), np.asarray(share, float))
    spread, weights = _spreads(share, min(df, LARGEST_DF))
    return _normal_tail(ratio[..., None] / spread) @ weights


def quantile(share: ArrayLike, df: float, alpha: float = 0.05) -> Floats:
    """The ratio that `tail` passes with probability alpha: how many standard errors wide half an interval is."""
    share = np.asarray(share, float)
    table = _quantiles(min(df, LARGEST_DF), alpha)
    return np.interp(np.cbrt(share), np.cbrt(SHARES), table)


def power(difference: float, seed: float, item: float, df: float, alpha: float = 0.05) -> float:
    """The probability that a true difference passes the two-sided test at alpha.

    seed, item: the true variances of its estimate; averaged over what the seeds' spread may turn out to be.
    """
    total = seed + item
    if total == 0:
        return 1.0 if difference else alpha
    precision, weights = _precisions(min(df, LARGEST_DF), FINE)
    estimated = seed * precision + item
    needed = quantile(seed * precision / estimated, df, alpha) * np.sqrt(estimated)
    passes = _normal_tail((needed - difference) / math.sqrt(total)) + _normal_tail(
        (needed + difference) / math.sqrt(total)
    )
    return float(passes @ weights / 2)


@lru_cache(maxsize=64)
def _quantiles(df: float, alpha: float) -> Floats:
    """Newton's method on log tail over log ratio, which is concave, so that it closes in from above."""
    logs = np.full(SHARES.shape, math.log(NormalDist().inv_cdf(1 - alpha / 2)))
    for _ in range(MOST_STEPS):
        ratio = np.exp(logs)
        found = tail(ratio, SHARES, df)
        step = np.log(found / alpha) * found / (ratio * _density(ratio, SHARES, df))
        logs += step
        if np.abs(step).max() < 1e-9:
            break
    return np.exp(logs)


def _spreads(share: Floats, df: float) -> tuple[Floats, Floats]:
    """The standard deviations of the normal distributions of the mixture (..., nodes), and their weights."""
    precision, weights = _precisions(df)
    return np.sqrt(share[..., None] / precision + (1 - share[..., None])), weights


@lru_cache(maxsize=64)
def _precisions(df: float, step: float = STEP) -> tuple[Floats, Floats]:
    """Values of W = χ²/df and their weights: the trapezoidal rule in log W, where it converges exponentially."""
    low, high = _edge(df, -1.0), _edge(df, 1.0)
    logs = np.linspace(low, high, math.ceil((high - low) / (step * min(1.0, math.sqrt(2 / df)))) + 1)
    weights = np.exp(df / 2 * (logs - np.exp(logs) + 1))
    return np.exp(logs), weights / weights.sum()


def _edge(df: float, sign: float) -> float:
    """Where log W's density is negligible, below (-1) or above (1) its peak at 0."""
    near, far = 0.0, sign * (2 * NEGLIGIBLE / df + 1)
    far = min(far, 8.0)
    for _ in range(80):
        middle = (near + far) / 2
        if df / 2 * (middle - math.exp(middle) + 1) > -NEGLIGIBLE:
            near = middle
        else:
            far = middle
    return far


def _density(ratio: Floats, share: Floats, df: float) -> Floats:
    """How fast `tail` falls with the ratio."""
    spread, weights = _spreads(share, df)
    return np.exp(-((ratio[..., None] / spread) ** 2) / 2) / spread @ weights * math.sqrt(2 / math.pi)


def _normal_tail(ratio: Floats) -> Floats:
    return _erfc(ratio * math.sqrt(0.5)).astype(float)
