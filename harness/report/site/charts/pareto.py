"""Accuracy against size."""

from __future__ import annotations

from typing import Any

from harness.report.axes import AXES
from harness.report.board import Leaderboard
from harness.report.front import ON_THE_FRONT, front
from harness.report.rows import Row
from harness.report.site.charts.chart import AVERAGE, Chart, Spec, layered, tips, value


def pareto(board: Leaderboard) -> Chart | None:
    """The average against the trainable parameters."""
    points = [_size_point(row) for row in board.rows if row.average is not None and row.trainable_params is not None]
    sized = [point for point in points if point["params"] > 0]
    if not sized:
        return None
    standings = {place.label: place.standing for place in front(board, AXES["parameters"])}
    for point in sized:
        point["front"] = "best at its size" if standings[point["label"]] in ON_THE_FRONT else "dominated"
    y = {"field": "value", "type": "quantitative", "title": AVERAGE, "scale": {"zero": False}}
    x = {
        "field": "params",
        "type": "quantitative",
        "title": "Trainable parameters",
        "scale": {"type": "log", "nice": False, "padding": 24},
    }
    x["axis"] = {"format": "~s", "tickCount": 6, "grid": False}
    best = {"test": "datum.front === 'best at its size'", "value": 1}
    point: Spec = {
        "mark": {"type": "point", "filled": True, "size": 70},
        "encoding": {
            "shape": {"field": "front", "type": "nominal", "legend": {"orient": "top", "title": None}},
            "opacity": {"condition": best, "value": 0.45},
            "tooltip": tips(("label", "Method"), ("shown", "Average"), ("size", "Trainable"), ("group", "Group")),
        },
    }
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "aria": False},
            "encoding": {"y": y | {"field": "low"}, "y2": {"field": "high"}, "opacity": {"value": 0.45}},
        },
        {
            "mark": {"type": "line", "interpolate": "step-after", "strokeDash": [4, 3], "opacity": 0.6, "aria": False},
            "transform": [{"filter": best["test"]}],
        },
        point,
        {
            "mark": {"type": "text", "align": "left", "dx": 8, "dy": -8, "limit": 130, "aria": False},
            "transform": [{"filter": best["test"]}],
            "encoding": {"text": {"field": "label"}},
        },
    ]
    untrained = [item for item in points if item["params"] == 0]
    spec = layered(sized, {"x": x, "y": y}, layers, "Average against trainable parameters") | {"height": 340}
    note = "Bars are 95 % intervals of the average. The dashed line joins the methods that no smaller one beats."
    for item in untrained:
        note += f" Without training ({item['label']}): {item['shown']}."
    columns = (("label", "Method"), ("size", "Trainable"), ("shown", "Average"), ("front", "Front"))
    return Chart("pareto", "Accuracy against size", note, spec, columns, points)


def _size_point(row: Row) -> dict[str, Any]:
    return value(row.label, row.average) | {
        "params": row.trainable_params,
        "size": f"{row.trainable_params:,}",
        "group": row.group or "–",
        "front": "–",
    }
