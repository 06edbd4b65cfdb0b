"""A place for one run at a time, and the worker process that serves it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from harness.errors import FailureKind
from harness.pipeline.execute import Result
from harness.schedule.flag import Flag
from harness.schedule.spawning import hidden_from_signals, pinned, without_script
from harness.schedule.worker import Post, work_through
from harness.spec.run import ModelRef
from harness.store.records import Claim

PATIENCE_SECONDS = 10.0
"""So long a worker may take to leave once it is told to."""
KILLED = -9


@dataclass
class LocalJob:
    """A run that a worker process does. claim: the worker's, once it told it."""

    run_id: str
    slot: Slot
    begun: float = field(default_factory=time.monotonic)
    result: Result | None = None
    claim: Claim | None = None
    aborted: tuple[FailureKind, str] | None = None

    def cancel(self) -> None:
        """See `Job.cancel`."""
        if self.result is None:
            self.slot.stop.set()

    def abort(self, kind: FailureKind, message: str) -> None:
        """See `Job.abort`. The worker is killed, and replaced for the next run."""
        if self.result is None and self.aborted is None:
            self.aborted = (kind, message)
            self.slot.kill()


class Slot:
    """At most one job, and at most one process, which stays for the next one where that fits it.

    gpu: the one on which its processes work, as CUDA_VISIBLE_DEVICES names it; base: what the process has loaded.
    """

    def __init__(self, context: SpawnContext, gpu: str | None, post: Post) -> None:
        self._context, self._gpu, self._post = context, gpu, post
        self._process: BaseProcess | None = None
        self.connection: Connection | None = None
        self.base: ModelRef | None = None
        self.job: LocalJob | None = None

    @property
    def stop(self) -> Flag:
        """Ends the run in hand softly."""
        return self._post.stop

    def begin(self, run_id: str, base: ModelRef | None) -> LocalJob:
        """Gives a run to the process, or to a new one where the old one is gone or has another base."""
        if self.base is not None and base is not None and self.base != base:
            self.replace()
        self.stop.clear()
        self.job, self.base = LocalJob(run_id, self), base or self.base
        self._give(("run", run_id))
        return self.job

    def ask(self, order: tuple[str, Any]) -> Any:
        """Gives another order than a run, waits, and returns what it is answered with. Raises EOFError."""
        self._give(order)
        assert self.connection is not None
        return self.hear()[1]

    def hear(self) -> tuple[str, Any]:
        """The next message of the process. Raises EOFError where it has died."""
        assert self.connection is not None
        try:
            return self.connection.recv()
        except OSError as error:
            raise EOFError from error

    def over(self, result: Result) -> None:
        """The job has ended."""
        assert self.job is not None
        self.job.result, self.job = result, None

    def exit_code(self) -> int:
        """How the process ended; waits for it."""
        assert self._process is not None
        self._process.join()
        return self._process.exitcode or 0

    def kill(self) -> None:
        """Ends the process at once, whatever it does."""
        if self._process is not None:
            self._process.kill()

    def replace(self) -> None:
        """Lets the process go, so that the next job begins with a new one. A job in hand is not waited for."""
        if self.job is not None:
            self.kill()
        if self.connection is not None:
            with suppress(OSError):  # a worker that died already
                self.connection.send(None)
            self.connection.close()
        if self._process is not None:
            self._process.join(timeout=PATIENCE_SECONDS)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._process = self.connection = self.base = self.job = None

    def _give(self, order: tuple[str, Any]) -> None:
        if self._process is None or not self._process.is_alive():
            self._start()
        assert self.connection is not None
        with suppress(OSError):  # dead already: that is heard when it is asked for news
            self.connection.send(order)

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        with pinned(self._gpu), hidden_from_signals(), without_script():
            self._process = self._context.Process(target=work_through, args=(theirs, self._post), daemon=True)
            self._process.start()
        theirs.close()
        self.connection = ours


def ended(code: int) -> str:
    """How a process ended that should not have."""
    if code >= 0:
        return f"the worker ended with exit code {code}"
    return f"the worker was killed by signal {-code}" + (" (was memory short?)" if code == KILLED else "")


def free(slots: Sequence[Slot], base: ModelRef | None) -> Slot | None:
    """A slot without a job: rather one that has this base, then one that has none, which saves loading."""
    idle = [slot for slot in slots if slot.job is None]
    return min(idle, key=lambda slot: 0 if slot.base == base else 1 if slot.base is None else 2, default=None)
