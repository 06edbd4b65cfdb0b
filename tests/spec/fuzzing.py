"""The `harness` command in this process, on input of any kind: how it ends, and what it says."""

from __future__ import annotations

import contextlib
import io
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

from harness.adapters import catalogue
from harness.adapters.method import load_method
from harness.cli.main import main
from harness.paths import builtin_dir

SLOWEST = 2.0
"""Seconds of processor time that no input may take."""
STUCK = 30.0
"""Seconds after which a command that waits (for a pipe, say) is stopped."""
LOCATED = re.compile(r"^(?P<file>\S[^\n]*?)(?::\d+)?(?: [^\n]+?)?: \S")
TELLS = ("Usage: ", "Try 'harness", "")


class Stuck(BaseException):
    """Raised into a command that takes too long; nothing catches it on the way."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code (None: by an exception that no user should see), and its output."""

    asked: tuple[str, ...]
    code: int | None
    out: str
    told: str
    seconds: float

    def faults(self) -> list[str]:
        """What a user would complain about."""
        found = ["a traceback"] if self.code is None or "Traceback (most recent" in self.told + self.out else []
        found += [f"exit {self.code}"] if self.code not in (None, 0, 2) else []
        found += [f"{self.seconds:.1f} s"] if self.seconds > SLOWEST else []
        lines = self.told.splitlines()
        located = any(LOCATED.match(line) or self._names_what_was_asked(line) for line in lines)
        found += ["no located message"] if self.code == 2 and not located else []
        odd = [line for line in lines if not LOCATED.match(line) and not line.startswith(TELLS[:2])]
        odd = [line for line in odd if not self._names_what_was_asked(line)]
        found += [f"a line that says no place: {odd[0][:200]!r}"] if self.code == 2 and any(odd) else []
        found += ["a message without end"] if len(self.told) > 500_000 else []
        return found

    def _names_what_was_asked(self, line: str) -> bool:
        """Whether a line is about a method that was named on the command line, which is a place in no file."""
        return any(line.startswith(f"unknown method {argument!r}, ") for argument in self.asked)


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def stop(signum: int, frame: object) -> None:
        raise Stuck

    before = {kind: signal.signal(kind, stop) for kind in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SLOWEST * 2)
    signal.setitimer(signal.ITIMER_REAL, STUCK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for kind, handler in before.items():
            signal.signal(kind, handler)


def harness(*arguments: str) -> Outcome:
    """Runs a command through the entry point that a user's shell calls."""
    out, told = io.StringIO(), io.StringIO()
    argv, began, code = sys.argv, time.process_time(), None
    sys.argv = ["harness", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told), _alarm():
            main()
    except SystemExit as end:
        code = int(end.code or 0)
    except (Exception, Stuck):  # noqa: BLE001 - what no user should see is what is looked for
        told.write(traceback.format_exc())
    finally:
        sys.argv = argv
    return Outcome(arguments, code, out.getvalue(), told.getvalue(), time.process_time() - began)


@pytest.fixture
def quick_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in methods are read once, not for every input."""
    monkeypatch.setattr(catalogue, "load_method", _load)


def _load(path: Path, shown_as: str | None = None) -> object:
    return _built_in(path) if path.parent == builtin_dir("adapters") else load_method(path, shown_as)


@lru_cache
def _built_in(path: Path) -> object:
    return load_method(path)
