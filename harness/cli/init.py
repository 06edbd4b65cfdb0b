"""`harness init`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from harness.cli.main import Settings
from harness.errors import PrerequisiteError

START = Path(__file__).with_name("start")
FILES = ("first.yaml", "adapters/mine.yaml")
SCHEMAS = ".harness"


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=Path("."))
@click.pass_obj
def init(settings: Settings, folder: Path) -> None:
    """Write a commented experiment and a method of your own to start from.

    They run as they are, on the embedded model, in minutes. DIR is made where it isn't there; the current directory by
    default. No file is overwritten. The schemas that editors complete them with go to DIR/.harness.
    """
    there = [str(folder / name) for name in FILES if (folder / name).exists()]
    if there:
        raise PrerequisiteError(f"{', '.join(there)}: there already; harness init DIR writes to another place")
    try:
        for name, text in _contents(settings).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PrerequisiteError(f"{folder} can't be written: {error.strerror}") from error
    for name in FILES:
        click.echo(f"wrote {folder / name}")
    here = "" if folder == Path(".") else f"cd {shlex.quote(str(folder))} && "
    click.echo(f"next: {here}harness run first.yaml --profile quick")


def _contents(settings: Settings) -> dict[str, str]:
    """The text of every file, by its name in the folder."""
    from harness.adapters.catalogue import find_methods
    from harness.adapters.method import load_method
    from harness.spec.editor.experiment import experiment_schema
    from harness.spec.editor.method import method_schema

    methods = find_methods(settings.adapters).methods
    mine = load_method(START / "adapters" / "mine.yaml")
    schemas: dict[str, Any] = {
        "experiment": experiment_schema([*(methods | {mine.method: mine}).values()]),
        "method": method_schema(),
    }
    texts = {name: (START / name).read_text(encoding="utf-8") for name in FILES}
    return texts | {f"{SCHEMAS}/{kind}.schema.json": json.dumps(schema) for kind, schema in schemas.items()}
