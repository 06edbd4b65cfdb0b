"""`harness tasks`."""

from __future__ import annotations

import click

from harness.catalog.benchmarks import benchmarks
from harness.catalog.tasks import tasks as known_tasks
from harness.cli.options import as_json, print_json


@click.group()
def tasks() -> None:
    """The tasks and benchmarks that an experiment can name."""


@tasks.command("list")
@as_json
def list_tasks(as_json: bool) -> None:
    """List benchmarks with their tasks. Beside these, every task of lm-eval can be named."""
    if as_json:
        listed = [
            {"task": task.name, "title": task.title, "suite": task.suite, "version": task.version}
            for task in known_tasks().values()
        ]
        boards = [
            {"benchmark": found.name, "title": found.title, "tasks": list(found.tasks)}
            for found in benchmarks().values()
        ]
        print_json({"tasks": listed, "benchmarks": boards})
        return
    for found in benchmarks().values():
        click.echo(f"{found.name}: {found.title}")
        for name in found.tasks:
            click.echo(f"  {name}")
