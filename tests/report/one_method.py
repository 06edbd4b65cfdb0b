"""The statistics of one method, which reports compute for many at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from harness.report.statistics.mean import Mean, means_over_seeds


def mean_over_seeds(tasks: Sequence[ArrayLike], weights: Sequence[float] | None = None) -> Mean:
    """tasks: of each task the outcomes (seeds, items)."""
    return means_over_seeds([np.asarray(task, float)[None] for task in tasks], weights)[0]
