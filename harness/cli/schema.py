"""`harness schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.main import Settings
from harness.errors import PrerequisiteError


@click.command()
@click.argument("kind", type=click.Choice(["experiment", "method"]), default="experiment")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="PATH", help="Write it to a file.")
@click.pass_obj
def schema(settings: Settings, kind: str, output: Path | None) -> None:
    """Print the JSON Schema of experiment files, or of method files, for editors.

    With `# yaml-language-server: $schema=PATH` among its first lines, editors complete a file's fields and mark
    mistakes as it is written. Every method that `harness adapters list` shows is in it, your own ones too. What
    several fields must be together only `harness validate` knows.
    """
    from harness.adapters.catalogue import find_methods
    from harness.spec.editor.experiment import experiment_schema
    from harness.spec.editor.method import method_schema

    methods = [*find_methods(settings.adapters).methods.values()]
    text = json.dumps(experiment_schema(methods) if kind == "experiment" else method_schema(), indent=2)
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise PrerequisiteError(f"--output {output}: {error.strerror}") from None
