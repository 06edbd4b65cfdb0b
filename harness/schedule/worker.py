"""The process that trains and scores, one run after the other, on one device."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.errors import StoreError
from harness.paths import RunPaths, home
from harness.pipeline.execute import Result, Work, execute
from harness.pipeline.workers import BEAT_SECONDS, is_gone, worker_name
from harness.spec.run import RunSpec
from harness.store.records import Claim
from harness.store.store import Store, open_store


@dataclass
class Heart:
    """Beats for the claimed run in a thread of its own, and notices when the claim or the parent is lost."""

    store: Store
    stop: threading.Event
    claim: Claim | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begins to beat, in a thread that ends with the process at the latest."""
        threading.Thread(target=self._beat, daemon=True).start()

    def hold(self, claim: Claim | None) -> None:
        """Beats for this claim from now on, or for none."""
        with self.lock:
            self.claim = claim

    def _holds(self, claim: Claim) -> bool:
        """Whether the claim is still ours; a database that can't be asked just now says nothing."""
        try:
            return self.store.beat(claim)
        except StoreError:
            return True

    def _beat(self) -> None:
        while True:
            parent = parent_process()
            if parent is not None and not parent.is_alive():
                self.stop.set()
            with self.lock:
                claim = self.claim
            if claim is not None and not self._holds(claim):
                self.stop.set()
            if self.done.wait(BEAT_SECONDS):
                return


def work_through(connection: Connection, db: str, threads: int, stop: Any) -> None:
    """A worker process's life: takes orders from `connection` until it is told None or its parent is gone.

    Sends `("event", {...})` while it works, `("claimed", Claim)`, `("done", Result)`, and after an order of
    `("check", runs)`, `("checked", {run_id: problem})`.
    stop: a process-shared event; once set, the run in hand stops softly.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})  # blocked while this process began
    _quieten()
    with open_store(db) as store:
        runner = Runner(store, threads, stop)
        while True:
            try:
                order = connection.recv()
            except EOFError:
                return
            if order is None:
                return
            with _captured(_log_of(order)):
                connection.send(runner.answer(order, connection.send))


def _log_of(order: Any) -> Path:
    if isinstance(order, RunSpec):
        return RunPaths(home(), order.train_id, order.run_id).log
    return home() / "logs" / "check.log"


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


class Runner:
    """Carries out orders in this process."""

    def __init__(self, store: Store, threads: int | None, stop: Any) -> None:
        self.store, self.stop, self.threads = store, stop, threads
        self._heart_stop = threading.Event()
        self._heart = Heart(store, self._heart_stop)
        self._heart.start()
        self._bench: Any = None

    def close(self) -> None:
        """Stops the heart and lets go of the base model."""
        self._heart.done.set()
        if self._bench is not None:
            self._bench.clear()

    def answer(self, order: Any, send: Any) -> tuple[str, Any]:
        """Carries out one order and returns the message that ends it."""
        if isinstance(order, RunSpec):
            return "done", self.run(order, send)
        return "checked", self.check(order[1])

    def check(self, runs: list[RunSpec]) -> dict[str, str]:
        """The problems of methods that don't fit their model, by run_id."""
        from harness.pipeline.check import count

        return {run_id: found.problem for run_id, found in count(runs).items() if found.problem}

    def run(self, run: RunSpec, send: Any) -> Result:
        """Claims and does one run."""
        self._load()
        state = self.store.states([run.run_id]).get(run.run_id)
        if state is None:
            return Result(run.run_id, "lost", message="its experiment does not ask for it any more")
        dead = state if state.status == "running" and is_gone(state) else None
        claim = self.store.claim(run.run_id, worker_name(), str(self._bench.device), dead)
        if claim is None:
            return Result(run.run_id, "lost", message="another worker took it first")
        send(("claimed", claim))
        self._heart_stop.clear()
        self._heart.hold(claim)
        try:
            emit = lambda event: send(("event", event))  # noqa: E731
            stopped = lambda: self.stop.is_set() or self._heart_stop.is_set()  # noqa: E731
            return execute(Work(run, claim, self.store, self._bench, emit, stopped))
        finally:
            self._heart.hold(None)

    def _load(self) -> None:
        """Imports the heavy libraries and settles threads and device, once."""
        if self._bench is not None:
            return
        import torch
        import transformers

        from harness.pipeline.workbench import Workbench, best_device

        if self.threads:
            torch.set_num_threads(self.threads)
        transformers.utils.logging.disable_progress_bar()
        self._bench = Workbench(best_device())
