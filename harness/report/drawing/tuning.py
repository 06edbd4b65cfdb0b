"""Tuning curves: the expected best validation value after k points."""

from __future__ import annotations

from pathlib import Path

from harness.errors import NotFoundError
from harness.report.drawing.canvas import canvas, look
from harness.report.tuning import TunedExperiment


def draw_tuning(found: TunedExperiment, path: Path) -> None:
    """A line for each row that has two points with a value. Raises NotFoundError where none has."""
    rows = [row for row in found.rows if len(row.curve) > 1]
    if not rows:
        raise NotFoundError(f"nothing to draw: no method of {found.experiment} has two points with a validation value")
    with canvas(path) as axes:
        for index, row in enumerate(rows):
            axes.plot(range(1, len(row.curve) + 1), row.curve, label=row.label, linewidth=1, **look(index))
        axes.set_xticks(range(1, max(len(row.curve) for row in rows) + 1))
        axes.set_xlabel("Points tried")
        axes.set_ylabel(f"Expected best {rows[0].by.replace('_', ' ')}")
        axes.legend()
