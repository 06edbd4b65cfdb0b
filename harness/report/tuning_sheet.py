"""What tuning tried as a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.report.figures import MISSING
from harness.report.sheet import Sheet
from harness.report.tuning import TriedPoint, TunedExperiment, TunedRow
from harness.spec.tuning import METRICS, detail

HEADS = ("Method", "Point", "Validation loss", "Validation accuracy (%)", "Standing")
FEW = 8
"""A curve of more points is told at 1, 2, 4, ... of them; JSON has all."""


def tuning_sheet(found: TunedExperiment) -> Sheet:
    """Every point of every row; below, how good the best of fewer points would be expected to be."""
    return Sheet(
        title=f"Tuning of {found.experiment} ({found.profile})",
        heads=HEADS,
        lines=tuple(_line(row, at) for row in found.rows for at in range(len(row.points))),
        foot=tuple(_foot(found)),
        records=tuple(_record(row, at) for row in found.rows for at in range(len(row.points))),
        about={
            "experiment": found.experiment,
            "profile": found.profile,
            "superseded": found.superseded,
            "tuned": [_about(row) for row in found.rows],
        },
    )


def _line(row: TunedRow, at: int) -> tuple[str, ...]:
    point = row.points[at]
    loss = MISSING if point.loss is None else f"{point.loss:.4f}"
    accuracy = MISSING if point.accuracy is None else f"{100 * point.accuracy:.1f}"
    return row.label, detail(point.values), loss, accuracy, _standing(row, at)


def _standing(row: TunedRow, at: int) -> str:
    point = row.points[at]
    if row.chosen == at:
        return "chosen"
    if point.error:
        return f"failed ({point.error.partition(':')[0]})"
    return "" if point.ended else "not ended"


def _record(row: TunedRow, at: int) -> dict[str, Any]:
    point = row.points[at]
    return {
        "label": row.label,
        "method": row.method,
        "model": row.model,
        "by": row.by,
        "point": detail(point.values),
        "loss": point.loss,
        "accuracy": point.accuracy,
        "failed": _failed(row, point),
        "error": point.error,
        "chosen": row.chosen == at,
        "run_ids": " ".join(point.run_ids),
    }


def _about(row: TunedRow) -> dict[str, Any]:
    return {
        "label": row.label,
        "by": row.by,
        "points": len(row.points),
        "failed": sum(_failed(row, point) for point in row.points),
        "chosen": None if row.chosen is None else row.points[row.chosen].values,
        "values": [point.values for point in row.points],
        "curve": row.curve,
    }


def _failed(row: TunedRow, point: TriedPoint) -> bool:
    return point.ended and getattr(point, METRICS[row.by]) is None


def _foot(found: TunedExperiment) -> Iterator[str]:
    yield "Chosen by the validation examples alone; no test score is read (docs/experiments.md)."
    for row in found.rows:
        curve = row.curve
        shown = [k for k in range(1, len(curve) + 1) if len(curve) <= FEW or k & (k - 1) == 0 or k == len(curve)]
        told = ", ".join(f"{k}: {curve[k - 1]:.4g}" for k in shown)
        if told:
            yield f"{row.label}: expected best {row.by} after k points, over all orders: {told}"
        if failed := sum(_failed(row, point) for point in row.points):
            yield f"{row.label}: {failed} of {len(row.points)} points failed; the expectation is of the others"
    if found.superseded:
        yield f"{found.superseded} more run(s) tried or had points that the experiment asks for no more."
