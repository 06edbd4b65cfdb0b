"""Which run is next, and when no more are begun: the same for every executor."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from harness.pipeline.deadline import Deadline
from harness.pipeline.execute import Result
from harness.schedule.executor import Executor, Job
from harness.schedule.retry import Retries
from harness.spec.run import RunSpec

Listener = Callable[[RunSpec, dict[str, Any]], None]
"""Told of progress: the run, the event. `begin` is a run's first event; its last is `end`, with the `result`."""

POLL_SECONDS = 0.5
"""A signal that comes while nothing is heard of a worker is noticed after so long."""
GRACE_SECONDS = 120.0
"""A run that is out of time and has not ended softly is killed after so long."""


class Loop:
    """Does runs in turn. results: how each that was begun ended, in the order in which they did.

    timeout: the seconds that a run may take. It ends itself then; one that can't is aborted `grace` seconds later.
    restore: writes down again what the command asks, where another one on the same experiment has forgotten it.
    """

    def __init__(
        self,
        executor: Executor,
        runs: Sequence[RunSpec],
        listen: Listener,
        fail_fast: bool = False,
        timeout: float | None = None,
        grace: float = GRACE_SECONDS,
        retries: Retries | None = None,
        restore: Callable[[], object] = lambda: None,
    ) -> None:
        self._executor, self._listen, self._fail_fast = executor, listen, fail_fast
        self._timeout, self._grace, self._retries = timeout, grace, retries or Retries()
        self._restore, self._waiting = restore, list(runs)
        self._jobs: list[tuple[RunSpec, Job]] = []
        self.results: list[Result] = []

    def work(self) -> list[Result]:
        """Returns once all are done, or those in hand after it was stopped."""
        while True:
            self._begin()
            self._collect()
            if not self._jobs and (self._ending() or not self._waiting):
                return self.results
            if self._jobs:
                self._executor.wait(POLL_SECONDS)
            elif self._next() is None:
                time.sleep(POLL_SECONDS)
            self._abort_late()
            self._collect()

    def _abort_late(self) -> None:
        """Ends the jobs that had time to end themselves and did not."""
        for _, job in self._jobs:
            deadline = Deadline(self._timeout, job.begun)
            if deadline.late(self._grace):
                job.abort("timeout", str(deadline.error("its worker was killed: it did not end by itself")))

    def _ending(self) -> bool:
        """Whether no more runs are to be begun."""
        failed = any(result.outcome == "failed" for result in self.results)
        halted = any(result.halts for result in self.results)
        return self._executor.stopping or halted or (self._fail_fast and failed)

    def _begin(self) -> None:
        """Hands over as many runs as the executor takes."""
        while self._waiting and not self._ending():
            run = self._next()
            if run is None or not self._executor.takes(run.run_id):
                return
            self._waiting.remove(run)
            self._listen(run, {"event": "begin"})
            self._jobs.append((run, self._executor.submit(run.run_id)))
            self._collect()

    def _next(self) -> RunSpec | None:
        """The first run whose weights nobody has in hand just now; None while all have to pause."""
        in_hand = {run.train_id for run, _ in self._jobs if run.adapter.trains != "nothing"}
        due = [run for run in self._waiting if self._retries.is_due(run.run_id)]
        return next((run for run in due if run.train_id not in in_hand), None)

    def _collect(self) -> None:
        """Takes what has ended out of hand."""
        ended = [(run, job.result) for run, job in self._jobs if job.result is not None]
        self._jobs = [(run, job) for run, job in self._jobs if job.result is None]
        for run, result in ended:
            if not self._ending() and self._retries.grants(result):
                if result.unasked:
                    self._restore()
                self._waiting.append(run)
                self._listen(run, {"event": "again", "result": result})
                continue
            self.results.append(result)
            self._listen(run, {"event": "end", "result": result})
