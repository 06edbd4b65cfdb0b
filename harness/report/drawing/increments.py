"""What training changed in matrices: histograms of all entries, heat maps of random slices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import NotFoundError
from harness.report.drawing.canvas import COLOURS, sheet
from harness.report.increments.kinds import Kind
from harness.store.increments.records import HISTOGRAM_BINS, HISTOGRAM_END, Increment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = 4
"""Panels side by side."""
INCHES = 1.9
LARGEST = 3.0
"""The end of the heat maps' scale, in RMS."""


def draw_histograms(kinds: Sequence[Kind], path: Path) -> None:
    """For each kind of matrix the distribution of change / RMS, a line for each seed, over the normal one (dashed).

    All layers and modules count alike, whatever their size. Raises NotFoundError where nothing changed.
    """
    known = [kind for kind in kinds if any(_changed(kind))]
    if not known:
        raise NotFoundError("nothing to draw: no measured matrix has changed")
    width = 2 * HISTOGRAM_END / HISTOGRAM_BINS
    middles = [-HISTOGRAM_END + width * (bin + 0.5) for bin in range(HISTOGRAM_BINS)]
    normal = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in middles]
    lines = math.ceil(len(known) / ACROSS)
    with sheet(path, ACROSS * INCHES, lines * INCHES) as figure:
        for place, kind in enumerate(known, start=1):
            axes = figure.add_subplot(lines, ACROSS, place)
            axes.plot(middles, normal, color=COLOURS[6], linestyle="--", linewidth=0.8)
            for index, found in enumerate(kind.by_seed.values()):
                shares = [_density(each, width) for each in found if each.histogram]
                if shares:
                    mean = [sum(bin) / len(shares) for bin in zip(*shares, strict=True)]
                    axes.plot(middles, mean, color=COLOURS[index % len(COLOURS)], linewidth=0.9)
            axes.set_title(f"{kind.label}\n{kind.matrix}", fontsize=7)
            axes.tick_params(labelsize=6)
            axes.set_yticks([])
        figure.supxlabel("Change / RMS of the change", fontsize=8)


def _density(increment: Increment, width: float) -> list[float]:
    """Of the inner bins, per unit of change / RMS."""
    return [count / (sum(increment.histogram) * width) for count in increment.histogram[1:-1]]


def draw_heatmaps(kinds: Sequence[Kind], path: Path) -> None:
    """For each kind of matrix |change| / RMS in random slices of up to ACROSS matrices, from the first to the last.

    They are of the first seed. Raises NotFoundError where nothing changed.
    """
    known = [kind for kind in kinds if any(_changed(kind))]
    if not known:
        raise NotFoundError("nothing to draw: no measured matrix has changed")
    with sheet(path, ACROSS * INCHES + 0.6, len(known) * INCHES) as figure:
        every = []
        for line, kind in enumerate(known):
            for place, increment in enumerate(_spaced(list(_changed(kind)))):
                axes = figure.add_subplot(len(known), ACROSS, line * ACROSS + place + 1)
                image = _heat(axes, increment)
                axes.set_title(f"{kind.label}, {kind.matrix}\n{_where(increment)}", fontsize=6)
                every.append(axes)
        figure.colorbar(image, ax=every, shrink=0.5 / len(known) + 0.2, label="|change| / RMS")


def _heat(axes: Axes, increment: Increment) -> object:
    sizes = [[abs(value) for value in row] for row in increment.patch]
    axes.set_xticks([])
    axes.set_yticks([])
    return axes.imshow(sizes, vmin=0, vmax=LARGEST, cmap="viridis", interpolation="nearest")


def _changed(kind: Kind) -> Iterator[Increment]:
    """The first seed's matrices of which a slice is kept."""
    return (increment for increment in next(iter(kind.by_seed.values())) if increment.patch)


def _spaced(found: Sequence[Increment]) -> list[Increment]:
    """Up to ACROSS of them, evenly from the first to the last."""
    count = min(ACROSS, len(found))
    return [found[round(at * (len(found) - 1) / max(count - 1, 1))] for at in range(count)]


def _where(increment: Increment) -> str:
    layer = "shared" if increment.layer is None else f"layer {increment.layer}"
    return f"{increment.module}, {layer}" if increment.module else layer
