"""What all figures share: matplotlib without a screen, colours that all readers can tell apart, files that repeat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import PrerequisiteError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMS = ("pdf", "svg", "png")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito's palette (Wong 2011, "Points of view: color blindness", Nature Methods 8)."""
MARKERS = "osD^vP*X"
STYLE = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 100.0,
    "savefig.dpi": 300.0,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "peft-harness",
}
UNDATED = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
MISSING = "figures need the package matplotlib: pip install 'peft-harness[figures]'"


@contextmanager
def canvas(path: Path, width: float = 5.5, height: float = 3.4) -> Iterator[Axes]:
    """Axes to draw on, on a sheet of their own."""
    with sheet(path, width, height) as figure:
        axes = figure.add_subplot()
        axes.grid(alpha=0.25, linewidth=0.5)
        yield axes


@contextmanager
def sheet(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure, width and height in inches; written to `path` at the end, by its suffix one of FORMS.

    The same numbers give the same bytes. Raises PrerequisiteError where matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise PrerequisiteError(MISSING) from None
    form = path.suffix.removeprefix(".").lower()
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        partial = path.with_name(f".{path.name}.partial")
        figure.savefig(partial, format=form, metadata=UNDATED[form])
    partial.replace(path)


def look(index: int) -> dict[str, str]:
    """A series' colour and marker."""
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
