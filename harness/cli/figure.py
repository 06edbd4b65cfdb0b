"""`harness report --figure`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.views import Query, boards, increments

if TYPE_CHECKING:
    from harness.report.board import Leaderboard
    from harness.store.store import Store

OF_INCREMENTS = ("histograms", "heatmaps")
FIGURES = ("pareto", "data", "rank", "bars", "tuning", *OF_INCREMENTS)
FORMS = ("pdf", "svg", "png")


def figure_file(output: Path | None) -> Path:
    """Where a figure goes. Raises UsageError for no file, another suffix, and a folder that isn't there."""
    if output is None:
        raise click.UsageError("--figure: say where, --output FILE.pdf")
    if output.suffix.removeprefix(".").lower() not in FORMS:
        raise click.UsageError(f"--output {output}: a figure is {', '.join(f'.{form}' for form in FORMS)}")
    if not output.parent.is_dir():
        raise click.UsageError(f"--output {output}: {output.parent} is no directory")
    return output


def draw(store: Store, query: Query, figure: str, path: Path) -> None:
    """Draws one of FIGURES. Raises NotFoundError where there is nothing to draw."""
    if figure == "tuning":
        from harness.report.drawing.tuning import draw_tuning
        from harness.report.tuning import tuned_experiments

        draw_tuning(tuned_experiments(store, **query.filters)[0], path)
    elif figure in OF_INCREMENTS:
        from harness.report.drawing.increments import draw_heatmaps, draw_histograms

        kinds = increments(store, query)[0].kinds
        {"histograms": draw_histograms, "heatmaps": draw_heatmaps}[figure](kinds, path)
    else:
        _of_boards(store, boards(store, query), figure, query.cost, path)
    click.echo(path)


def _of_boards(store: Store, boards: Sequence[Leaderboard], figure: str, cost: str, path: Path) -> None:
    from harness.report.drawing.bars import draw_bars
    from harness.report.drawing.curves import draw_data, draw_rank
    from harness.report.drawing.pareto import draw_pareto

    if figure == "pareto":
        draw_pareto(boards[0], cost, path)
    elif figure == "bars":
        draw_bars(boards[0], path)
    else:
        {"data": draw_data, "rank": draw_rank}[figure](store, boards, path)
