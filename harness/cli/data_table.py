"""What `harness data list` prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from harness.catalog.holdings import Collection, Holding
from harness.cli.options import UNBOUNDED

HEADS = {"train": "training sets", "test": "tasks' test files"}


def print_list(found: Sequence[tuple[Collection, list[Holding]]]) -> None:
    """The training sets, then the tasks: a line each, and a line for each of its files."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("name", "size", "state", "where"):
        table.add_column(name, justify="right" if name == "size" else "left", overflow="fold", no_wrap=name != "where")
    for kind, head in HEADS.items():
        chosen = [(each, files) for each, files in found if each.kind == kind]
        if chosen:
            table.add_row(f"[{head}]")
        for each, files in chosen:
            table.add_row(f"  {each.name}", "", "", each.title)
            for file in files:
                size = "" if file.size is None else decimal(file.size)
                table.add_row(f"    {file.file.file}", size, file.state, _where(each, file))
    width = None if sys.stdout.isatty() else UNBOUNDED
    Console(width=width, markup=False, highlight=False, emoji=False).print(table)


def _where(each: Collection, file: Holding) -> str:
    """The file's path; how to get it where it is missing."""
    if file.path is not None:
        return file.fault or str(file.path)
    return f"harness data fetch {each.name}" if file.file.origin else "no public address is known"
