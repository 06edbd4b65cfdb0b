"""What the measures of density are where nothing is sparse: of independent normal entries in the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import cache
from statistics import fmean, stdev

import numpy as np

from harness.store.increments.records import Density
from harness.train.increments.density import density

DRAWS, DRAWS_OF_LARGE = 32, 8
LARGE = 2**20
"""Entries from which fewer draws do: the spread falls with their root."""
MEASURES = tuple(measure.name for measure in fields(Density))


@cache
def gaussian(*shape: int) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each measure over normal matrices of this shape, always of the same draws.

    Many entries give a share below 0.01, 0.05 and 0.10 RMS of 0.80, 3.99 and 7.97 % (the normal distribution), Hoyer
    1 - √(2/π) = 0.2021 and Gini √2 - 1 = 0.4142 (both of the half-normal distribution).
    """
    draw = np.random.default_rng(shape)
    count = DRAWS if np.prod(shape) <= LARGE else DRAWS_OF_LARGE
    return {
        name: (mean, deviation)
        for name, (mean, deviation) in spread([density(draw.standard_normal(shape)) for _ in range(count)]).items()
        if deviation is not None
    }


def spread(found: Sequence[Density]) -> dict[str, tuple[float, float | None]]:
    """Mean and standard deviation (None for one) of each measure that all of them have."""
    by_name = {name: [asdict(each)[name] for each in found] for name in MEASURES}
    known = {name: values for name, values in by_name.items() if values and None not in values}
    return {name: (fmean(values), stdev(values) if len(values) > 1 else None) for name, values in known.items()}
