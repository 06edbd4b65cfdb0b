"""`harness compare`."""

from __future__ import annotations

import click

from harness.cli.main import Settings
from harness.cli.options import as_json, print_json


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--experiment", metavar="NAME", help="Only runs that this experiment asks for.")
@click.option("--benchmark", metavar="NAME", help="On this benchmark.")
@click.option("--model", metavar="M", help="On this base model.")
@as_json
@click.pass_obj
def compare(
    settings: Settings, a: str, b: str, experiment: str | None, benchmark: str | None, model: str | None, as_json: bool
) -> None:
    """Compare two methods or two runs on the items and seeds that both have.

    A and B are labels of a leaderboard's rows, names of methods that one row has, or run ids, which may be shortened.
    Of several leaderboards that have both, it takes the one with the latest result.
    """
    from harness.report.comparison import compared
    from harness.report.comparison_table import drawn
    from harness.report.opponents import opponents
    from harness.store.store import open_store

    with open_store(settings.db, read_only=True) as store:
        found = compared(store, opponents(store, a, b, experiment=experiment, benchmark=benchmark, model=model))
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(drawn(found), nl=False)
