"""How runs get done: the interface, and the simplest way, in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from harness.pipeline.execute import Result
from harness.schedule.worker import Runner
from harness.spec.run import RunSpec
from harness.store.store import Store

Listener = Callable[[int, RunSpec, dict[str, Any]], None]
"""Told of progress: the slot (0, 1, ...), the run, the event."""


class Executor(Protocol):
    """Does runs, telling of progress and of each result as it comes."""

    def check(self, runs: Sequence[RunSpec]) -> dict[str, str]:
        """Problems of methods that don't fit their model, by run_id, before any weight is loaded."""

    def work(self, runs: Sequence[RunSpec], listen: Listener) -> list[Result]:
        """Does the runs in turn and returns how each that was begun ended; returns early once stopped."""

    def stop(self) -> None:
        """Ends softly: the step in hand is finished, a checkpoint written."""

    def close(self) -> None:
        """Lets go of processes and memory."""


class InProcess:
    """One run after the other in this very process: for notebooks and debugging."""

    def __init__(self, store: Store, fail_fast: bool = False) -> None:
        self._stop = threading.Event()
        self._runner = Runner(store, None, self._stop)
        self._fail_fast = fail_fast

    def check(self, runs: Sequence[RunSpec]) -> dict[str, str]:
        """See `Executor.check`."""
        return self._runner.check(list(runs))

    def work(self, runs: Sequence[RunSpec], listen: Listener) -> list[Result]:
        """See `Executor.work`."""
        results: list[Result] = []
        for run in runs:
            if self._stop.is_set():
                break

            def send(message: tuple[str, Any], run: RunSpec = run) -> None:
                listen(0, run, message[1] if message[0] == "event" else {"event": message[0]})

            listen(0, run, {"event": "begin"})
            result = self._runner.run(run, send)
            listen(0, run, {"event": "end", "result": result})
            results.append(result)
            if self._fail_fast and result.outcome == "failed":
                break
        return results

    def stop(self) -> None:
        """See `Executor.stop`."""
        self._stop.set()

    def close(self) -> None:
        """See `Executor.close`."""
        self._runner.close()
