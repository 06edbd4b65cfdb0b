"""What a process that does runs prints: nothing on a terminal, everything into the run's log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.paths import RunPaths, home


def log_of(name: str) -> Path:
    """The log of a run, by its id, or of what else is done."""
    return RunPaths(home(), train_id="", run_id=name).log  # which hangs on the run alone


def quieten() -> None:
    """Progress bars belong into no log, and nobody is to be told of a training."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


@contextmanager
def captured(path: Path) -> Iterator[None]:
    """Everything that any library prints goes to this file, from now on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8", buffering=1) as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        yield
        sys.stdout.flush()
        sys.stderr.flush()
