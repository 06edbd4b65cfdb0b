"""`harness report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.count import Count
from harness.cli.figure import FIGURES, OF_INCREMENTS, draw, figure_file
from harness.cli.main import Settings
from harness.cli.views import VIEWS, Query, boards

if TYPE_CHECKING:
    from harness.report.board import Leaderboard
    from harness.store.store import Store

COSTS = ("parameters", "time", "memory", "bytes", "speed")
FORMATS = ("table", "markdown", "csv", "json", "latex", "html")
BOARDS_ALONE = ("latex", "html")
"""Formats that only leaderboards have."""


@click.command()
@click.option("--leaderboard", is_flag=True, help="Rank the methods of a benchmark.")
@click.option("--pareto", is_flag=True, help="Which rows no cheaper one beats; --cost says what is spent.")
@click.option("--forgetting", is_flag=True, help="What each row changed against the bare base, paired.")
@click.option("--published", is_flag=True, help="What papers print of the methods, beside ours.")
@click.option("--tuning", is_flag=True, help="What `select` tried on validation examples, and how much it gains.")
@click.option("--increments", is_flag=True, help="What training changed in each matrix, and how densely.")
@click.option("--figure", type=click.Choice(FIGURES), help="Draw it for a paper; --output FILE.pdf, .svg or .png.")
@click.option("--experiment", metavar="NAME", help="Only this experiment's runs.")
@click.option("--benchmark", metavar="NAME", help="Only this benchmark.")
@click.option("--model", metavar="M", help="Only this base model.")
@click.option(
    "--max-params",
    type=Count(),
    metavar="N",
    help="At most so many trainable parameters (500K, 1.5M), one row a method, chosen by validation loss.",
)
@click.option(
    "--cost", type=click.Choice(COSTS), default="parameters", show_default=True, help="What the Pareto front is of."
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A file instead of stdout; for html, the folder of the site.",
)
@click.pass_obj
def report(settings: Settings, figure: str | None, form: str, output: Path | None, **asked: Any) -> None:
    """Print results from the database alone.

    A board holds one benchmark, one base model, one scoring protocol and one training-data setting. Tables,
    markdown and LaTeX show every board that matches; JSON, CSV and figures the one with the latest result. html is
    a site in a folder of its own, which needs neither server nor network.
    """
    from harness.report.render import UNBOUNDED
    from harness.store.store import open_store

    views = _views([name for name in VIEWS if asked.pop(name)], figure, form)
    drawing = figure_file(output) if figure else None
    query = Query(**asked, form=form, width=UNBOUNDED if output else None)
    with open_store(settings.db, read_only=True) as store:
        if figure and drawing:
            draw(store, query, figure, drawing)
            return
        if form == "html":
            _site(store, boards(store, query), output)
            return
        parts = (part for view in views for part in VIEWS[view](store, query))
        if output is None:
            for number, part in enumerate(parts):
                click.echo(f"\n{part}" if number else part, nl=False)
        else:
            _write("\n".join(parts), output)


def _views(asked: Sequence[str], figure: str | None, form: str) -> Sequence[str]:
    """The view that is asked for, or the leaderboard and what is published: its JSON holds that already.

    A figure of increments may be asked for as such. Raises UsageError for none, for any other two, and for a format
    that the view hasn't.
    """
    if set(asked) == {"leaderboard", "published"} and not figure and form in ("table", "markdown", "json"):
        return asked[:1] if form == "json" else asked
    if list(asked) == ["increments"] and figure in OF_INCREMENTS:
        return asked
    named = [*(f"--{name}" for name in asked), *(["--figure"] if figure else [])]
    if len(named) > 1:
        raise click.UsageError(f"one report at a time: {' or '.join(named)}")
    if not named and form != "html":
        raise click.UsageError(f"say which report: {', '.join(f'--{name}' for name in (*VIEWS, 'figure'))}")
    view = asked[0] if asked else "leaderboard"
    if view != "leaderboard" and form in BOARDS_ALONE:
        raise click.UsageError(f"--{view} has no --format {form}; it has table, markdown, csv and json")
    return [view]


def _write(text: str, output: Path) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--output {output}: {error.strerror}") from None


def _site(store: Store, boards: Sequence[Leaderboard], folder: Path | None) -> None:
    from harness.report.site.write import write_site

    if folder is None:
        raise click.UsageError("--format html: say where, --output DIR")
    click.echo(f"open {write_site(store, boards, folder)}")
