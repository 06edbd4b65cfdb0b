"""One run after the other in this very process: for notebooks and debugging."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import FailureKind
from harness.pipeline.execute import Result
from harness.pipeline.prerequisites import Obstacle
from harness.schedule.executor import Tell
from harness.schedule.handed import Asker
from harness.schedule.machine import Machine
from harness.schedule.runner import Runner
from harness.store.store import Store


@dataclass
class DoneJob:
    """A job that was over before anybody could ask for it."""

    run_id: str
    result: Result | None
    begun: float = field(default_factory=time.monotonic)

    def cancel(self) -> None:
        """See `Job.cancel`."""

    def abort(self, kind: FailureKind, message: str) -> None:
        """See `Job.abort`."""


class InProcess:
    """See `Executor`. A run is done while it is submitted; after a device error no other is begun."""

    def __init__(self, store: Store, asker: Asker, tell: Tell, timeout: float | None = None) -> None:
        self._tell, self._stop = tell, threading.Event()
        self._runner = Runner(store, asker, Machine.here(), self._stop, timeout)

    @property
    def stopping(self) -> bool:
        """See `Executor`."""
        return self._stop.is_set() or not self._runner.sound

    def check(self, run_ids: Sequence[str]) -> dict[str, Obstacle]:
        """See `Executor.check`."""
        return self._runner.check(run_ids)

    def takes(self, run_id: str) -> bool:
        """See `Executor.takes`."""
        return True

    def submit(self, run_id: str) -> DoneJob:
        """See `Executor.submit`."""

        def send(message: tuple[str, Any]) -> None:
            if message[0] == "event":
                self._tell(run_id, message[1])

        begun = time.monotonic()
        return DoneJob(run_id, self._runner.run(run_id, send), begun)

    def wait(self, seconds: float) -> None:
        """See `Executor.wait`."""

    def stop(self) -> None:
        """See `Executor.stop`."""
        self._stop.set()

    def close(self) -> None:
        """See `Executor.close`."""
        self._runner.close()
