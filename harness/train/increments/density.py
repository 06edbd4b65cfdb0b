"""How dense an update is: measures that don't hang on its scale.

All of them are the same for X and c·X. A matrix with none of its entries at zero can still be sparse: a few large ones
carry the change. Hurley and Rickard (2009, "Comparing Measures of Sparsity", IEEE Transactions on Information Theory
55(10)) compare such measures; of sixteen the Gini index alone has all six properties that they ask for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.store.increments.records import SHARES, Density

Array = NDArray[np.float64]
LARGEST_SIDE = 1024
"""Of the smaller side: beyond it singular values take minutes, and the effective rank stays unknown."""


def density(change: Array) -> Density:
    """The measures of a change: (rows, columns), or (n,) for a vector, whose effective rank is None.

    Where nothing changed all are None; hoyer and gini of a single entry, too.
    """
    scale = rms(change)
    if scale == 0:
        return Density(None, None, None, None, None, None)
    scaled = change / scale
    sizes = np.sort(np.abs(scaled), axis=None)
    shares = {name: float(np.searchsorted(sizes, limit) / sizes.size) for name, limit in SHARES.items()}
    several = sizes.size > 1
    return Density(
        **shares,
        hoyer=hoyer(sizes) if several else None,
        gini=gini(sizes) if several else None,
        effective_rank=effective_rank(scaled) if _has_rank(scaled) else None,
    )


def _has_rank(change: Array) -> bool:
    return change.ndim > 1 and 1 < min(change.shape) <= LARGEST_SIDE


def rms(values: Array) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def hoyer(sizes: Array) -> float:
    """Hoyer's sparsity of n > 1 sizes, not all zero: (√n - L1 / L2) / (√n - 1).

    0 where all are equal, 1 where one alone is not zero (Hoyer 2004, "Non-negative Matrix Factorization with
    Sparseness Constraints", JMLR 5, section 3.1).
    """
    root = np.sqrt(sizes.size)
    return float((root - np.sum(sizes) / np.sqrt(np.sum(np.square(sizes)))) / (root - 1))


def gini(sorted_sizes: Array) -> float:
    """The Gini index of sizes in rising order, not all zero: 1 - 2 Σ_k c_(k) / L1 · (n - k + 1/2) / n.

    0 where all are equal, 1 - 1/n where one alone is not zero (Hurley and Rickard 2009, definition in table I).
    """
    n = sorted_sizes.size
    behind = (n - np.arange(1, n + 1) + 0.5) / n
    return float(1 - 2 * np.dot(sorted_sizes, behind) / np.sum(sorted_sizes))


def effective_rank(matrix: Array) -> float:
    """exp of the entropy of the singular values' shares of their sum, between 1 and the smaller side.

    Roy and Vetterli 2007, "The effective rank: A measure of effective dimensionality", EUSIPCO, definition 1.
    """
    singular = np.linalg.svd(matrix, compute_uv=False)
    shares = singular / np.sum(singular)
    shares = shares[shares > 0]
    return float(np.exp(-np.sum(shares * np.log(shares))))
