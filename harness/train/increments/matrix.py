"""The increment of one matrix, from its start and its end."""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

import numpy as np

from harness.store.increments.records import ABSOLUTE, HISTOGRAM_BINS, HISTOGRAM_END, PATCH, Increment
from harness.train.increments.density import Array, density, rms
from harness.train.increments.gaussian import gaussian, spread
from harness.train.increments.names import part_of_model

SLICES = 32
LARGEST_SLICE = 512


def increment(name: str, before: Array, after: Array) -> Increment:
    """The increment of one parameter: (rows, columns) or (n,). Its random slices are always the same for its name."""
    change = after - before
    scale = rms(change)
    layer, module, matrix = part_of_model(name)
    rows, columns = (*change.shape, 1)[:2]
    slices = list(_slices(change.reshape(rows, columns), crc32(name.encode())))
    sizes = np.abs(change)
    return Increment(
        name=name,
        layer=layer,
        module=module,
        matrix=matrix,
        rows=rows,
        columns=columns,
        start_rms=rms(before),
        rms=scale,
        density=density(change),
        absolute=tuple(float(np.mean(sizes < limit)) for limit in ABSOLUTE),
        gaussian=gaussian(*change.shape),
        slice_side=slices[0].shape[1],
        slice_count=len(slices),
        slices=spread([density(each) for each in slices]),
        histogram=_histogram(change, scale),
        patch=_patch(slices[0] / scale) if scale else (),
    )


def _slices(change: Array, seed: int) -> Iterator[Array]:
    """Square blocks as large as the smaller side at random places; the whole where it is square itself."""
    side = min(*change.shape, LARGEST_SLICE)
    draw = np.random.default_rng(seed)
    for _ in range(1 if change.shape == (side, side) else SLICES):
        top, left = (int(draw.integers(length - side + 1)) for length in change.shape)
        yield change[top : top + side, left : left + side]


def _histogram(change: Array, scale: float) -> tuple[int, ...]:
    if scale == 0:
        return ()
    inner = np.linspace(-HISTOGRAM_END, HISTOGRAM_END, HISTOGRAM_BINS + 1)
    counts, _ = np.histogram(change / scale, bins=np.concatenate([[-np.inf], inner, [np.inf]]))
    return tuple(int(count) for count in counts)


def _patch(scaled: Array) -> tuple[tuple[float, ...], ...]:
    """A slice's corner, to the precision that is kept."""
    return tuple(tuple(map(float, row)) for row in scaled[:PATCH, :PATCH].astype(np.float16))
