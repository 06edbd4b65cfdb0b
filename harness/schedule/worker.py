"""The process that trains and scores, one run after the other, on one device."""

from __future__ import annotations

import gc
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from harness.schedule.flag import Flag
from harness.schedule.handed import Asker
from harness.schedule.machine import Machine
from harness.schedule.quiet import captured, log_of, quieten
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
    quieten()

    def send(message: tuple[str, Any]) -> None:
        try:
            connection.send(message)
        except OSError:  # the parent is gone: no reason to fail the run
            post.stop.set()

    with open_store(post.db) as store:
        runner = Runner(store, post.asker, post.machine, post.stop, post.timeout)
        while (order := _heard(connection)) is not None:
            kind, content = order
            with captured(log_of(content if kind == "run" else "check")):
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


def _heard(connection: Connection) -> tuple[str, Any] | None:
    try:
        return connection.recv()
    except (EOFError, OSError):
        return None
