"""`harness data`."""

from __future__ import annotations

from typing import Any

import click

from harness.catalog.holdings import Collection, Holding, collections, fetch, holding, named
from harness.cli.main import INVALID, Settings
from harness.cli.options import as_json, print_json
from harness.errors import PrerequisiteError


@click.group()
def data() -> None:
    """The training sets and test files that the harness knows: where they are, and getting them."""


@data.command("list")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@as_json
def list_data(names: tuple[str, ...], as_json: bool) -> None:
    """List training sets and tasks' test files: where each file is, its size, whether its content is right.

    Files are looked for in the folders of $HARNESS_DATA, then in $HARNESS_HOME/data (.harness/data).
    """
    found = [(each, [holding(file) for file in each.files]) for each in _chosen(names)]
    if as_json:
        print_json([_summary(each, files) for each, files in found])
        return
    from harness.cli.data_table import print_list

    print_list(found)


@data.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@as_json
@click.pass_obj
def fetch_data(settings: Settings, names: tuple[str, ...], as_json: bool) -> None:
    """Download what is missing, each file from its original address, whole and checked.

    NAME is a training set, a task, a benchmark (its tasks' test files), or a file as `list` names it. Files go into
    the first folder of $HARNESS_DATA that can be written to, else into $HARNESS_HOME/data (.harness/data). A download
    that was interrupted goes on where it stopped.
    """
    from harness.cli.data_progress import progress

    files = {file.file: file for each in _chosen(names) for file in each.files}
    fetched, problems = [], []
    with progress(quiet=settings.quiet) as shown:
        for file in files.values():
            try:
                before = holding(file)
                path = fetch(file, shown.begin(file.file))
                fetched.append({**_file(holding(file)), "fetched": before.path is None})
                shown.end(file.file, path, before.path is None)
            except PrerequisiteError as error:
                problems.append(f"{file.file}: {error}")
    if as_json:
        print_json({"files": fetched, "problems": problems})
    _end(problems)


@data.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@as_json
def check_data(names: tuple[str, ...], as_json: bool) -> None:
    """Check the content of the files that are here against the catalog's. Exits with 2 if one differs."""
    found = {file.file: holding(file) for each in _chosen(names) for file in each.files}
    here = [each for each in found.values() if each.path is not None]
    problems = [
        f"{each.path} is not the file that the catalog means by {each.file.file} ({each.fault})"
        for each in here
        if each.state == "differs"
    ]
    if as_json:
        print_json({"files": [_file(each) for each in here], "passed": not problems})
    else:
        for each in here:
            click.echo(f"{each.state}: {each.file.file} ({each.path})")
        click.echo(f"{len(here)} of {len(found)} files are here, {len(problems)} of them wrong")
    _end(problems)


def _chosen(names: tuple[str, ...]) -> tuple[Collection, ...]:
    """What the names mean, each once; everything where there is none."""
    if not names:
        return tuple(collections().values())
    return tuple(dict.fromkeys(each for name in names for each in named(name)))


def _summary(each: Collection, files: list[Holding]) -> dict[str, Any]:
    return {
        "name": each.name,
        "title": each.title,
        "kind": each.kind,
        "here": all(file.path is not None for file in files),
        "files": [_file(file) for file in files],
    }


def _file(found: Holding) -> dict[str, Any]:
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


def _end(problems: list[str]) -> None:
    for problem in problems:
        click.echo(problem, err=True)
    click.get_current_context().exit(INVALID if problems else 0)
