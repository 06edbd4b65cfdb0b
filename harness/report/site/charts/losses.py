"""Loss curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.report.board import Leaderboard
from harness.report.site.charts.chart import Chart, Points, Spec, tips
from harness.report.site.curves import curve
from harness.report.site.runs import Runs
from harness.store.records import RunRecord

MOST_CURVES = 6
ROW_CURVE, RUN_CURVE = 60, 200
"""Points of a curve: of a row beside others, and of a run on its own page."""
LOSS_COLUMNS = (("kind", "Loss of"), ("step", "Step"), ("loss", "Loss"))


def losses(board: Leaderboard, runs: Runs) -> Chart | None:
    """The best rows' losses, each the mean over its seeds."""
    points: Points = []
    shown: list[str] = []
    for row in board.rows:
        logs = (line for run_id in row.run_ids for line in _log(runs.records[run_id]))
        if len(shown) < MOST_CURVES and (found := curve(logs, ROW_CURVE)):
            shown.append(row.label)
            points += [{"label": row.label} | point for point in found]
    if not points:
        return None
    color = {"field": "label", "type": "nominal", "sort": shown, "title": None}
    color["legend"] = {"orient": "bottom", "columns": 2, "labelLimit": 150, "symbolType": "stroke"}
    spec = _lines(points, color, "Loss by step")
    trained = sum(bool(row.seed_values) for row in board.rows)
    cut = f" The best {len(shown)} of {trained} trained rows." if trained > len(shown) else ""
    note = f"Means over seeds and over short windows of steps.{cut}"
    return Chart("losses", "Loss curves", note, spec, (("label", "Method"), *LOSS_COLUMNS), points)


def loss(run: RunRecord) -> Chart | None:
    """One run's losses."""
    points = curve(_log(run), RUN_CURVE)
    if not points:
        return None
    spec = _lines(points, None, "Loss by step")
    return Chart("loss", "Loss", "Means over short windows of steps.", spec, LOSS_COLUMNS, points)


def _log(run: RunRecord) -> Iterable[Mapping[str, Any]]:
    return run.training.loss if run.training else ()


def _lines(points: Points, color: Spec | None, description: str) -> Spec:
    kinds = sorted({point["kind"] for point in points})
    dash = {"field": "kind", "type": "nominal", "sort": kinds, "title": None, "legend": {"orient": "top"}}
    encoding: Spec = {
        "x": {"field": "step", "type": "quantitative", "title": "Step", "axis": {"grid": False}},
        "y": {"field": "loss", "type": "quantitative", "title": "Loss", "scale": {"zero": False}},
        "strokeDash": dash if len(kinds) > 1 else {"value": [1, 0]},
        "tooltip": tips(*([("label", "Method")] if color else []), *LOSS_COLUMNS),
    } | ({"color": color} if color else {})
    return {
        "data": {"values": points},
        "description": description,
        "width": "container",
        "height": 300,
        "mark": {"type": "line", "strokeWidth": 1.8, "interpolate": "monotone"},
        "encoding": encoding,
    }
