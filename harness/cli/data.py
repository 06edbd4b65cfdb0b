"""`harness data`."""

from __future__ import annotations

from typing import Any

import click

from harness.catalog.holdings import Collection, Holding, fetch, holding
from harness.cli.data_check import check_data
from harness.cli.data_files import chosen, end, file_json
from harness.cli.main import Settings
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
    found = [(each, [holding(file) for file in each.files]) for each in chosen(names)]
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

    files = {file.file: file for each in chosen(names) for file in each.files}
    fetched, problems = [], []
    with progress(quiet=settings.quiet) as shown:
        for file in files.values():
            try:
                before = holding(file)
                path = fetch(file, shown.begin(file.file))
                fetched.append({**file_json(holding(file)), "fetched": before.path is None})
                shown.end(file.file, path, before.path is None)
            except PrerequisiteError as error:
                problems.append(f"{file.file}: {error}")
    if as_json:
        print_json({"files": fetched, "problems": problems})
    end(problems)


def _summary(each: Collection, files: list[Holding]) -> dict[str, Any]:
    return {
        "name": each.name,
        "title": each.title,
        "kind": each.kind,
        "here": all(file.path is not None for file in files),
        "files": [file_json(file) for file in files],
    }


data.add_command(check_data)
