"""How runs get done: what every executor promises.

An executor is given run ids. The process that does a run, wherever it is, reads the specification from the store,
claims the run and records what comes of it: nothing else need be sent, and nothing need come back for the store to be
true. Which run is next, and when no more are begun, is the same for all (`schedule.loop`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from harness.errors import FailureKind
from harness.pipeline.execute import Result
from harness.pipeline.prerequisites import Obstacle

Tell = Callable[[str, dict[str, Any]], None]
"""Told of progress: the run's id, the event. It is called in the thread that calls `submit` and `wait`."""


class Job(Protocol):
    """A run that was handed over.

    run_id: its id; begun: when, by `time.monotonic()`; result: how it ended, None while it lasts.
    """

    run_id: str
    begun: float
    result: Result | None

    def cancel(self) -> None:
        """Ends it softly: the step in hand is finished, a checkpoint written, the claim released."""

    def abort(self, kind: FailureKind, message: str) -> None:
        """Ends it now, as failed. Where its process can't be killed, nothing happens."""


class Executor(Protocol):
    """Does runs.

    stopping: whether it was told to stop, or can do no more runs; there is no use in submitting another one.
    """

    stopping: bool

    def check(self, run_ids: Sequence[str]) -> dict[str, Obstacle]:
        """What keeps runs from being done, by run_id, before any weight is loaded.

        A method that does not fit its model (field `adapters`); see also `pipeline.unfit`.
        """

    def takes(self, run_id: str) -> bool:
        """Whether the run would be begun at once."""

    def submit(self, run_id: str) -> Job:
        """Begins a run that it `takes`. The job that is returned may have ended already."""

    def wait(self, seconds: float) -> None:
        """Hears of the jobs in hand and tells; returns once there was something to hear, or after so long."""

    def stop(self) -> None:
        """Ends all jobs softly. May be called at any moment, also by a signal handler."""

    def close(self) -> None:
        """Lets go of processes and memory."""
