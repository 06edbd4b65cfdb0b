"""`harness adapters`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from harness.adapters.catalogue import find_methods
from harness.adapters.method import Method
from harness.cli.main import Settings
from harness.cli.options import as_json, dash, print_json


@click.group()
def adapters() -> None:
    """The methods that an experiment can name."""


@adapters.command("list")
@as_json
@click.pass_obj
def list_adapters(settings: Settings, as_json: bool) -> None:
    """List every method with its parameters' defaults and its file."""
    catalogue = find_methods(settings.adapters)
    if as_json:
        print_json([_summary(method) for method in catalogue.methods.values()])
    else:
        for method in catalogue.methods.values():
            params = " ".join(f"{name}={dash(param.default)}" for name, param in method.params.items())
            click.echo(f"{method.method:12}  {method.title:28}  {params}")
    for problems in catalogue.broken.values():
        for problem in problems:
            click.echo(problem, err=True)


def _summary(method: Method) -> dict[str, Any]:
    return {
        "method": method.method,
        "title": method.title,
        "family": method.family,
        "config_class": method.config_class,
        "params": {name: param.default for name, param in method.params.items()},
        "mergeable": method.mergeable,
        "file": method.file,
    }


@adapters.command("show")
@click.argument("name")
@as_json
@click.pass_obj
def show_adapter(settings: Settings, name: str, as_json: bool) -> None:
    """Show one method: its source, its parameters, what it passes to its class."""
    method = find_methods(settings.adapters).method(name)
    if as_json:
        print_json(asdict(method))
        return
    paper = ", ".join(str(value) for value in method.paper.values())
    click.echo(f"{method.title} ({method.file})" + (f"\n{paper}" if paper else ""))
    click.echo(f"class: {dash(method.config_class)}")
    for param in method.params.values():
        bounds = "".join(
            f", {word} {value}" for word, value in (("min", param.min), ("max", param.max)) if value is not None
        )
        choices = f", one of {', '.join(map(str, param.choices))}" if param.choices else ""
        click.echo(f"  {param.name}: {dash(param.default)} ({param.type}{bounds}{choices})  {param.help}")
    for key, value in method.train.items():
        click.echo(f"  train.{key}: {value}")
    if method.notes:
        click.echo(method.notes)
