"""`harness report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.main import Settings

if TYPE_CHECKING:
    from harness.report.board import Leaderboard
    from harness.store.store import Store

FORMATS = ("table", "markdown", "csv", "json", "latex", "html")


@click.command()
@click.option("--leaderboard", is_flag=True, help="Rank the methods of a benchmark.")
@click.option("--experiment", metavar="NAME", help="Only this experiment's runs.")
@click.option("--benchmark", metavar="NAME", help="Only this benchmark.")
@click.option("--model", metavar="M", help="Only this base model.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A file instead of stdout; for html, the folder of the site.",
)
@click.pass_obj
def report(
    settings: Settings,
    leaderboard: bool,
    experiment: str | None,
    benchmark: str | None,
    model: str | None,
    form: str,
    output: Path | None,
) -> None:
    """Print results from the database alone.

    A board holds one benchmark, one base model, one scoring protocol and one training-data setting. Tables,
    markdown and LaTeX show every board that matches; JSON and CSV the one with the latest result. html is a site
    in a folder of its own, which needs neither server nor network.
    """
    from harness.report.leaderboard import leaderboard as best
    from harness.report.leaderboard import leaderboards
    from harness.report.render import UNBOUNDED, render
    from harness.store.store import open_store

    if not leaderboard and form != "html":
        raise click.UsageError("say which report: --leaderboard")
    with open_store(settings.db, read_only=True) as store:
        boards = leaderboards(store, experiment=experiment, benchmark=benchmark, model=model)
        if not boards:
            best(store, benchmark, experiment=experiment, model=model)
        if form == "html":
            _site(store, boards, output)
            return
    text = render(boards, form, width=UNBOUNDED if output else None)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--output {output}: {error.strerror}") from None


def _site(store: Store, boards: Sequence[Leaderboard], folder: Path | None) -> None:
    from harness.report.site.write import write_site

    if folder is None:
        raise click.UsageError("--format html: say where, --output DIR")
    click.echo(f"open {write_site(store, boards, folder)}")
