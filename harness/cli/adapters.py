"""`harness adapters`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from harness.adapters.catalogue import find_methods
from harness.adapters.method import Method
from harness.cli.check import check
from harness.cli.main import Settings
from harness.cli.options import as_json, print_json


@click.group()
def adapters() -> None:
    """The methods that an experiment can name."""


adapters.add_command(check)


@adapters.command("list")
@as_json
@click.pass_obj
def list_adapters(settings: Settings, as_json: bool) -> None:
    """List every method by family: title, paper, whether it merges, its parameters' defaults."""
    from harness.cli.methods import print_list

    catalogue = find_methods(settings.adapters)
    if as_json:
        print_json([_summary(method) for method in catalogue.methods.values()])
    else:
        print_list(catalogue.methods.values())
    for problems in catalogue.broken.values():
        for problem in problems:
            click.echo(problem, err=True)


def _summary(method: Method) -> dict[str, Any]:
    return {
        "method": method.method,
        "title": method.title,
        "summary": method.summary,
        "family": method.family,
        "paper": method.paper,
        "config_class": method.config_class,
        "params": {name: param.default for name, param in method.params.items()},
        "mergeable": method.mergeable,
        "limits": method.limits,
        "file": method.file,
    }


@adapters.command("show")
@click.argument("name", metavar="METHOD")
@as_json
@click.pass_obj
def show_adapter(settings: Settings, name: str, as_json: bool) -> None:
    """Explain one method: what it changes, its paper, its parameters, what it needs and what it can't do."""
    from harness.cli.methods import print_method

    method = find_methods(settings.adapters).method(name)
    if as_json:
        print_json(asdict(method))
    else:
        print_method(method)
