"""What the outcomes of one set of trained weights, 0 or 1 per item, say about these weights on other items."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np


def wilson(right: float, items: int, alpha: float = 0.05) -> tuple[float, float]:
    """The interval of a proportion by Wilson 1927, "Probable inference, the law of succession, and statistical
    inference": the values that a score test does not reject.
    """
    z2 = NormalDist().inv_cdf(1 - alpha / 2) ** 2
    share = right / items
    middle = (share + z2 / (2 * items)) / (1 + z2 / items)
    half = math.sqrt(z2 * (share * (1 - share) / items + z2 / (4 * items**2))) / (1 + z2 / items)
    return max(0.0, middle - half), min(1.0, middle + half)


def mcnemar(wins: int, losses: int) -> float:
    """The exact two-sided p-value of the hypothesis that wins and losses are as likely (McNemar 1947, "Note on the
    sampling error of the difference between correlated proportions"; exact: binomial, the smaller tail doubled).
    """
    discordant, fewer = wins + losses, np.arange(1, min(wins, losses) + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((discordant + 1 - fewer) / fewer))]) - discordant * math.log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))


def paired_proportions(wins: int, losses: int, items: int, alpha: float = 0.05) -> tuple[float, float]:
    """The interval of the difference of two proportions on the same items by Bonett and Price 2012, "Adjusted Wald
    confidence interval for a difference of binomial proportions based on paired data": one win and one loss more.
    """
    first, second = (wins + 1) / (items + 2), (losses + 1) / (items + 2)
    z = NormalDist().inv_cdf(1 - alpha / 2)
    half = z * math.sqrt((first + second - (first - second) ** 2) / (items + 2))
    return max(-1.0, first - second - half), min(1.0, first - second + half)
