"""What training changed in a matrix, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

SHARES = {"share_1": 0.01, "share_5": 0.05, "share_10": 0.10}
"""The limits of `Density`'s shares, in units of the matrix's own RMS."""
ABSOLUTE = (1e-4, 1e-3, 1e-2)
"""The limits of `Increment.absolute`, which are the same for every matrix, whatever its scale."""
HISTOGRAM_END, HISTOGRAM_BINS = 4.0, 64
"""A histogram's bins lie between -4 and 4 RMS; one more at either end holds what lies beyond."""
PATCH = 32
"""The largest side of the piece of a matrix that is kept for a heat map."""


@dataclass(frozen=True)
class Density:
    """How evenly a change is spread over the entries of a matrix, whatever its size.

    share_1, share_5, share_10: of the entries below 1, 5 and 10 % of the matrix's own RMS, between 0 and 1; hoyer,
    gini: sparsity, 0 where all entries are as large, 1 where one is all; effective_rank: between 1 and the smaller
    side. None where it means nothing (no change; a single entry; the rank of a vector) or is too dear.
    """

    share_1: float | None
    share_5: float | None
    share_10: float | None
    hoyer: float | None
    gini: float | None
    effective_rank: float | None


@dataclass(frozen=True)
class Increment:
    """What training changed in one trained matrix: its end less its start.

    name: the parameter's, in the model; layer: None where layers share it; module, matrix: `q_proj`, `lora_A`;
    start_rms, rms: of the entries at the start and of their change; absolute: shares below ABSOLUTE;
    gaussian: mean and standard deviation of each measure of `density` for independent normal entries in this shape;
    slices: the same over `slice_count` random square slices of `slice_side` (without a deviation where there is but
    one); histogram: entries in each bin of change / RMS, from the lowest; patch: the corner of a random slice as rows
    of change / RMS, at most PATCH by PATCH, empty where nothing changed.
    """

    name: str
    layer: int | None
    module: str | None
    matrix: str
    rows: int
    columns: int
    start_rms: float
    rms: float
    density: Density
    absolute: tuple[float, ...]
    gaussian: dict[str, tuple[float, float]]
    slice_side: int
    slice_count: int
    slices: dict[str, tuple[float, float | None]]
    histogram: tuple[int, ...]
    patch: tuple[tuple[float, ...], ...]
