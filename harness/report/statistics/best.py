"""How good the best of k tried points is, on average over the orders in which they could have been tried."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb


def expected_best(values: Sequence[float], lowest: bool) -> list[float]:
    """The expected best of the first 1, 2, ..., n of n values over all of their n! orders.

    Sorted from the best to the worst, value i (from 1) is the best of k in C(n - i, k - 1) of C(n, k) choices. This is
    the tuning curve of Dodge et al. 2019 ("Show Your Work", EMNLP) in its unbiased form, without replacement (Tang et
    al. 2020, "Showing Your Work Doesn't Always Work", ACL, equation 5). lowest: whether the lowest value is the best.
    """
    best_first, n = sorted(values, reverse=not lowest), len(values)
    return [
        sum(comb(n - i, k - 1) * value for i, value in enumerate(best_first, start=1)) / comb(n, k)
        for k in range(1, n + 1)
    ]
