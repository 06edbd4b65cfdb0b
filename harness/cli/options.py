"""Options that several commands share, and how they print."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from harness.cli.main import Settings

if TYPE_CHECKING:
    from harness.spec.expansion import Point
    from harness.spec.experiment import ExperimentSpec
    from harness.store.store import Store

UNBOUNDED = 100_000
"""A width that no table reaches."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def experiment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--profile`, `--set` and `--limit`: which version of an experiment is meant."""
    options = (
        click.option(
            "--profile", metavar="P", help="Scale at which it is asked. Default: $HARNESS_PROFILE, else paper."
        ),
        click.option("--set", "changes", metavar="a.b=c", multiple=True, help="Change a field; may be repeated."),
        click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Score N test items a task."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def load(
    settings: Settings, spec: str, profile: str | None, changes: tuple[str, ...] = (), limit: int | None = None
) -> ExperimentSpec:
    """The experiment that the options mean. Raises SpecError with all that is wrong with it."""
    return load_with_points(settings, spec, profile, changes, limit)[0]


def load_with_points(
    settings: Settings, spec: str, profile: str | None, changes: tuple[str, ...] = (), limit: int | None = None
) -> tuple[ExperimentSpec, tuple[Point, ...]]:
    """As `load`, with the experiment's points: see `spec.load.load_points`."""
    from harness.adapters.catalogue import find_methods
    from harness.spec.load import load_points

    overrides = (*changes, *((f"score.limit={limit}",) if limit else ()))
    return load_points(spec, profile, overrides, find_methods(settings.adapters))


@contextmanager
def reading(settings: Settings) -> Iterator[Store | None]:
    """The database, open for reading; None where nothing is recorded yet."""
    from harness.store.store import exists, open_store

    if not exists(settings.db):
        yield None
        return
    with open_store(settings.db, read_only=True) as store:
        yield store


def print_json(document: Any, compact: bool = False) -> None:
    """One JSON document on stdout; compact: on one line, many times faster."""
    text = json.dumps(document, indent=None if compact else 2, ensure_ascii=False)
    click.echo(text.encode("utf-8", "backslashreplace").decode())  # as JSON writes the odd bytes of a file's name


def dash(value: Any, form: str = "") -> str:
    """A value as a table shows it; what is missing is `–`."""
    return "–" if value is None else format(value, form)
