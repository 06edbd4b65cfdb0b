"""Which method is being proved, and which check of it: on stderr."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any

from harness.adapters.method import Method
from harness.pipeline.proof.verdict import Proof


def progress(count: int, quiet: bool) -> Progress:
    """A line that changes on a terminal, a line for each method elsewhere."""
    return Progress(count, quiet, sys.stderr.isatty())


class Progress:
    """Counts methods; a context manager."""

    def __init__(self, count: int, quiet: bool, live: bool) -> None:
        self.count, self.quiet, self.done = count, quiet, 0
        self._status = _Status() if live and not quiet else None

    def begin(self, method: Method, check: str) -> None:
        """Says what is being checked."""
        if self._status:
            self._status.say(f"[{self.done + 1}/{self.count}] {method.method}: {check}")

    def end(self, proof: Proof) -> None:
        """Says how it went."""
        self.done += 1
        how = f"failed: {', '.join(proof.failed)}" if proof.failed else "passed"
        if not self.quiet:
            words = f"[{self.done}/{self.count}] {proof.method}: {how} ({proof.seconds:.1f} s)"
            self._status.print(words) if self._status else print(words, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        if self._status:
            self._status.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._status:
            self._status.__exit__(*exception)


class _Status(AbstractContextManager["_Status"]):
    """rich's spinner, bound to the stderr of now: while a check runs, stderr is the libraries'."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.text import Text

        self.console = Console(file=sys.stderr, highlight=False, markup=False)
        self.text = Text
        self.status = self.console.status("")

    def say(self, words: str) -> None:
        self.status.update(self.text(words))

    def print(self, words: str) -> None:
        self.console.print(words)

    def __enter__(self) -> _Status:
        self.status.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.status.stop()
