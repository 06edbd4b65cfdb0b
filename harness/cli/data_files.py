"""What the commands of `harness data` share: the files that names mean, as JSON, and how a command ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from harness.catalog.holdings import Collection, Holding, collections, named
from harness.cli.main import INVALID


def chosen(names: Sequence[str]) -> tuple[Collection, ...]:
    """What the names mean, each once; everything where there is none."""
    if not names:
        return tuple(collections().values())
    return tuple(dict.fromkeys(each for name in names for each in named(name)))


def file_json(found: Holding) -> dict[str, Any]:
    """A file as JSON: `path` and `size` are null where it is missing, `sha256` is the catalog's."""
    origin = found.file.origin
    return {
        "file": found.file.file,
        "path": str(found.path) if found.path else None,
        "size": found.size,
        "state": found.state,
        "sha256": found.file.sha256,
        "git": origin.git if origin else None,
        "url": origin.url if origin else None,
    }


def end(problems: Sequence[str]) -> None:
    """Tells the problems and ends the command: with 2 if there are any."""
    for problem in problems:
        click.echo(problem, err=True)
    click.get_current_context().exit(INVALID if problems else 0)
