"""The process that trains and scores, one run after the other, on one device."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.paths import RunPaths, home
from harness.schedule.flag import Flag
from harness.schedule.handed import Asker
from harness.schedule.machine import Machine
from harness.schedule.runner import Runner
from harness.store.store import open_store


@dataclass(frozen=True)
class Post:
    """Where a worker serves: its database, the experiment, the whole machine, and the flag that stops it softly.

    timeout: the seconds that a run may take.
    """

    db: str
    asker: Asker
    machine: Machine
    stop: Flag
    timeout: float | None = None


def work_through(connection: Connection, post: Post) -> None:
    """A worker process's life: takes orders from `connection` until it is told None or its parent is gone.

    `("run", run_id)` is answered with `("claimed", Claim)`, `("event", {...})` as it goes on, and at last
    `("done", (Result, sound))`, where an unsound worker is of no more use; `("check", run_ids)` with
    `("checked", {run_id: Obstacle})`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})  # blocked while this process began
    _quieten()

    def send(message: tuple[str, Any]) -> None:
        try:
            connection.send(message)
        except OSError:  # the parent is gone: no reason to fail the run
            post.stop.set()

    with open_store(post.db) as store:
        runner = Runner(store, post.asker, post.machine, post.stop, post.timeout)
        while (order := _heard(connection)) is not None:
            kind, content = order
            with _captured(_log(content if kind == "run" else "check")):
                if kind == "run":
                    _settle()
                    send(("done", (runner.run(content, send), runner.sound)))
                else:
                    send(("checked", runner.check(content)))


def _settle() -> None:
    """What is loaded by now stays: later collections of garbage, of which each run makes several, leave it out.

    With torch, transformers and TRL loaded a collection takes 0.7 s, where a short run on a small model takes 3.4 s.
    """
    gc.collect()
    gc.freeze()


def _log(name: str) -> Path:
    return RunPaths(home(), train_id="", run_id=name).log  # which hangs on the run alone


def _heard(connection: Connection) -> tuple[str, Any] | None:
    try:
        return connection.recv()
    except (EOFError, OSError):
        return None


def _quieten() -> None:
    """Progress bars belong into no log, and nobody is to be told of a training."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


@contextmanager
def _captured(path: Path) -> Iterator[None]:
    """Everything that any library prints goes to the run's log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8", buffering=1) as log:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        yield
        sys.stdout.flush()
        sys.stderr.flush()
