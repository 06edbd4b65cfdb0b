"""p-values of a whole leaderboard's comparisons, taken together."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values: rejecting those at most alpha errs anywhere with probability at most alpha.

    NaN marks a comparison that was not made; it stays NaN and is not counted.
    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    p_values = np.asarray(p_values, float)
    made = np.flatnonzero(~np.isnan(p_values))
    order = made[np.argsort(p_values[made], kind="stable")]
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    adjusted = np.full(p_values.shape, np.nan)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
