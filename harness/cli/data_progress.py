"""How far a download is: on stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from harness.catalog.transfer import Listener


def progress(quiet: bool) -> Downloads:
    """A bar for the file that is coming on a terminal, a line for each file elsewhere."""
    return Downloads(quiet, sys.stderr.isatty())


class Downloads:
    """Files that are fetched one after the other; a context manager."""

    def __init__(self, quiet: bool, live: bool) -> None:
        self.quiet = quiet
        columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *columns,
            console=Console(file=sys.stderr, highlight=False, markup=False),
            disable=quiet or not live,
            transient=True,
        )

    def begin(self, name: str) -> Listener:
        """What is told how far a file's download is; the bar appears with its first byte."""
        bars: list[Any] = []

        def listen(there: int, total: int | None) -> None:
            if not bars:
                bars.append(self._bars.add_task(name))
            self._bars.update(bars[0], completed=there, total=total)

        return listen

    def end(self, name: str, path: Path, fetched: bool) -> None:
        """Says where a file now is."""
        if not self.quiet:
            print(f"{name}: {'fetched' if fetched else 'here already'}: {path}", file=sys.stderr, flush=True)

    def __enter__(self) -> Downloads:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()
