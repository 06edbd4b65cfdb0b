"""Worker processes on this machine, one per device slot, each keeping its base model from run to run."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from harness.errors import StoreError
from harness.paths import RunPaths, home
from harness.pipeline.execute import Result
from harness.schedule.executor import Listener
from harness.schedule.worker import work_through
from harness.spec.run import ModelRef, RunSpec
from harness.store.records import Claim
from harness.store.store import Store


@dataclass
class Slot:
    """A device slot and the process that serves it."""

    number: int
    environment: dict[str, str]
    process: BaseProcess | None = None
    connection: Connection | None = None
    base: ModelRef | None = None
    run: RunSpec | None = None
    claim: Claim | None = None


class Local:
    """Spawned workers; one that dies fails its run as `crashed` and is replaced."""

    def __init__(self, store: Store, workers: int | None = None, fail_fast: bool = False) -> None:
        self._store, self._fail_fast = store, fail_fast
        self._context = multiprocessing.get_context("spawn")
        self._stop = self._context.Event()
        devices = visible_gpus()
        count = workers or max(1, len(devices))
        self._threads = threads_each(count)
        self._slots = [Slot(number, self._environment(number, devices)) for number in range(count)]

    def _environment(self, number: int, devices: Sequence[str]) -> dict[str, str]:
        found = {"OMP_NUM_THREADS": str(self._threads)}
        if devices:
            found["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
        return found

    def check(self, runs: Sequence[RunSpec]) -> dict[str, str]:
        """See `Executor.check`."""
        if not runs:
            return {}
        slot = self._slots[0]
        self._start(slot)
        assert slot.connection is not None
        try:
            slot.connection.send(("check", list(runs)))
            return slot.connection.recv()[1]
        except (EOFError, OSError):  # dead: whatever killed it will tell as its run fails
            self._end(slot)
            return {}

    def work(self, runs: Sequence[RunSpec], listen: Listener) -> list[Result]:
        """See `Executor.work`."""
        queue, results = deque(runs), list[Result]()
        while True:
            for slot in self._slots:
                if slot.run is None and queue and not self._ending(results):
                    self._give(slot, self._next(queue), listen)
            busy = [slot for slot in self._slots if slot.run is not None]
            if not busy:
                return results
            for slot in _ready(busy):
                if (result := self._hear(slot, listen)) is not None:
                    results.append(result)

    def _next(self, queue: deque[RunSpec]) -> RunSpec:
        """The first run whose adapter nobody trains just now, else the first."""
        training = {slot.run.train_id for slot in self._slots if slot.run is not None}
        run = next((run for run in queue if run.train_id not in training), queue[0])
        queue.remove(run)
        return run

    def _ending(self, results: Sequence[Result]) -> bool:
        failed = any(result.outcome == "failed" for result in results)
        return self._stop.is_set() or (self._fail_fast and failed)

    def _give(self, slot: Slot, run: RunSpec, listen: Listener) -> None:
        if slot.base is not None and slot.base != run.model:
            self._end(slot)
        self._start(slot)
        assert slot.connection is not None
        slot.run, slot.base, slot.claim = run, run.model, None
        with suppress(OSError):  # dead already: that is heard when it is asked for news
            slot.connection.send(run)
        listen(slot.number, run, {"event": "begin"})

    def _hear(self, slot: Slot, listen: Listener) -> Result | None:
        """Takes one message of a worker, or the news of its death; the result if that ended its run."""
        assert slot.connection is not None and slot.run is not None
        try:
            kind, content = slot.connection.recv()
        except (EOFError, ConnectionResetError):
            return self._over(slot, self._crashed(slot), listen)
        if kind == "claimed":
            slot.claim = content
        elif kind == "event":
            listen(slot.number, slot.run, content)
        elif kind == "done":
            return self._over(slot, content, listen)
        return None

    def _over(self, slot: Slot, result: Result, listen: Listener) -> Result:
        assert slot.run is not None
        run, slot.run, slot.claim = slot.run, None, None
        listen(slot.number, run, {"event": "end", "result": result})
        return result

    def _crashed(self, slot: Slot) -> Result:
        """Records that the worker died in the middle of its run."""
        assert slot.process is not None and slot.run is not None
        slot.process.join()
        code = slot.process.exitcode or 0
        message = f"the worker was killed by signal {-code}" if code < 0 else f"the worker ended with exit code {code}"
        if code == -9:
            message += " (was memory short?)"
        message += f"; see {RunPaths(home(), slot.run.train_id, slot.run.run_id).log}"
        if slot.claim is not None:
            with suppress(StoreError):  # taken over by another worker meanwhile: theirs to say how it ends
                self._store.fail(slot.claim, "crashed", message, "", {})
        self._end(slot)
        return Result(slot.run.run_id, "failed", "crashed", message)

    def _start(self, slot: Slot) -> None:
        if slot.process is not None and slot.process.is_alive():
            return
        ours, theirs = self._context.Pipe()
        arguments = (theirs, self._store.url, self._threads, self._stop)
        with _environment(slot.environment), _deaf():
            slot.process = self._context.Process(target=work_through, args=arguments, daemon=True)
            slot.process.start()
        theirs.close()
        slot.connection = ours

    def _end(self, slot: Slot) -> None:
        if slot.connection is not None:
            with suppress(OSError):  # a worker that died already
                slot.connection.send(None)
            slot.connection.close()
        if slot.process is not None:
            slot.process.join(timeout=10)
            if slot.process.is_alive():
                slot.process.kill()
                slot.process.join()
        slot.process = slot.connection = slot.base = None

    def stop(self) -> None:
        """See `Executor.stop`."""
        self._stop.set()

    def close(self) -> None:
        """See `Executor.close`."""
        for slot in self._slots:
            self._end(slot)


def _ready(slots: Sequence[Slot]) -> Iterator[Slot]:
    """The slots from which there is something to hear, a worker's end included."""
    heard = wait([slot.connection for slot in slots if slot.connection is not None], timeout=1.0)
    return (slot for slot in slots if slot.connection in heard)


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that is begun here hears no Ctrl-C and no SIGTERM, not even before it can say so; we hear it later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """The environment that a spawned process inherits; what the user has set himself wins."""
    added = {key: value for key, value in changes.items() if key == "CUDA_VISIBLE_DEVICES" or key not in os.environ}
    before = {key: os.environ.get(key) for key in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


def threads_each(workers: int) -> int:
    """Threads of one worker: `$OMP_NUM_THREADS`, else the cores it may use shared evenly."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


def visible_gpus() -> list[str]:
    """The CUDA devices that may be used, found without importing torch."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return [str(index) for index, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]
