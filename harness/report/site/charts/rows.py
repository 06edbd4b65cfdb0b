"""Charts with one line for each row: the scores, and those of the single seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.catalog.tasks import task_title
from harness.report.board import Leaderboard
from harness.report.rows import Row
from harness.report.site.charts.chart import AVERAGE, Chart, Points, Spec, layered, tips, value
from harness.report.site.runs import Runs

MOST_ROWS = 40
"""Lines that a chart shows."""
ROW_HEIGHT = 24
"""Pixels of a line."""


def by_task(board: Leaderboard) -> Chart | None:
    """Each row's score on a task that the reader chooses, with its interval."""
    rows = board.rows[:MOST_ROWS]
    points = [value(row.label, row.average) | {"task": AVERAGE} for row in rows if row.average is not None]
    points += [
        value(row.label, row.scores[task]) | {"task": task_title(task)}
        for task in board.tasks
        for row in rows
        if task in row.scores
    ]
    if not points:
        return None
    x = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "aria": False, "opacity": 0.55, "strokeWidth": 2},
            "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60},
            "encoding": {"tooltip": tips(("label", "Method"), ("task", "Task"), ("shown", "Score"))},
        },
    ]
    spec = _by_row(points, x, layers, rows, "Score by method on the chosen task")
    note = f"Points are means over seeds, bars 95 % intervals.{_cut(board, MOST_ROWS)}"
    columns = (("task", "Task"), ("label", "Method"), ("shown", "Score"))
    return Chart("tasks", "Accuracy by task", note, spec, columns, points, _options(points))


def by_seed(board: Leaderboard, runs: Runs) -> Chart | None:
    """Each seed's own score on a task that the reader chooses."""
    rows = [row for row in board.rows if row.seeds > 1][:MOST_ROWS]
    points: Points = []
    for row in rows:
        points += _seeds(row, AVERAGE, runs, runs.averages(board, row))
        for task in board.tasks:
            values = {run_id: runs.main(run_id).get(task) for run_id in row.run_ids}
            points += _seeds(row, task_title(task), runs, values)
    if not points:
        return None
    x = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
    layers: list[Spec] = [
        {
            "mark": {"type": "tick", "thickness": 2, "size": 16, "aria": False, "opacity": 0.7},
            "encoding": {"x": x | {"aggregate": "mean"}},
        },
        {
            "mark": {"type": "point", "size": 60, "cursor": "pointer"},
            "encoding": {
                "href": {"field": "page"},
                "tooltip": tips(("label", "Method"), ("seed", "Seed"), ("task", "Task"), ("shown", "Score")),
            },
        },
    ]
    spec = _by_row(points, x, layers, rows, "Score of each seed by method on the chosen task")
    note = f"One ring for each seed, a stroke at their mean; a ring leads to its run.{_cut(board, MOST_ROWS)}"
    columns = (("task", "Task"), ("label", "Method"), ("seed", "Seed"), ("shown", "Score"))
    return Chart("seeds", "Seeds", note, spec, columns, points, _options(points))


def _seeds(row: Row, task: str, runs: Runs, values: Mapping[str, float | None]) -> Points:
    return [
        {"label": row.label, "task": task, "seed": str(runs.records[run_id].seed), "value": round(found, 4)}
        | {"shown": f"{found:.2f}", "page": f"runs/{run_id}.html"}
        for run_id, found in values.items()
        if found is not None
    ]


def _by_row(points: Points, x: Spec, layers: Sequence[Spec], rows: Sequence[Row], description: str) -> Spec:
    """Methods below each other, the best first."""
    y = {"field": "label", "type": "nominal", "sort": [row.label for row in rows], "title": None}
    y["axis"] = {"labelLimit": 150, "grid": True, "ticks": False, "domain": False}
    spec = layered(points, {"x": x, "y": y}, layers, description)
    first = points[0]["task"]
    chosen = {"transform": [{"filter": "datum.task === task"}], "params": [{"name": "task", "value": first}]}
    return spec | chosen | {"height": ROW_HEIGHT * len(rows)}


def _options(points: Points) -> tuple[str, ...]:
    return tuple(dict.fromkeys(point["task"] for point in points))


def _cut(board: Leaderboard, most: int) -> str:
    return f" The best {most} of {len(board.rows)} rows." if len(board.rows) > most else ""
