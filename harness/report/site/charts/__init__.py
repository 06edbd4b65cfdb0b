"""The site's charts as Vega-Lite specifications: plain JSON, their data inside; colours come from the page."""

from __future__ import annotations

from harness.report.board import Leaderboard
from harness.report.site.charts.chart import Chart
from harness.report.site.charts.losses import loss, losses
from harness.report.site.charts.pareto import pareto
from harness.report.site.charts.rows import by_seed, by_task
from harness.report.site.runs import Runs

__all__ = ["Chart", "board_charts", "loss"]


def board_charts(board: Leaderboard, runs: Runs) -> list[Chart]:
    """The charts for which there are numbers."""
    made = [pareto(board), by_task(board), by_seed(board, runs), losses(board, runs)]
    return [chart for chart in made if chart is not None]
