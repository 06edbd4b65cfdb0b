"""A run that was given to a cluster."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Protocol

from harness.errors import FailureKind
from harness.pipeline.execute import Result
from harness.schedule.cluster.errand import Errand
from harness.schedule.cluster.mailbox import Mailbox
from harness.store.records import Claim


@dataclass(frozen=True)
class End:
    """How a cluster says that a job ended, whatever became of the run: kind and words."""

    kind: FailureKind
    words: str


class Dispatcher(Protocol):
    """What the executor asks of a cluster. Tickets are its own.

    places: the most jobs that it is given at once.
    """

    places: int

    def fault(self) -> str | None:
        """Why it would take no job: what is wrong with how it was asked for."""

    def submit(self, errand: Errand) -> Any:
        """Hands an errand over and returns a ticket. Raises RunError where it is refused."""

    def name(self, ticket: Any) -> str:
        """The job, as the cluster calls it."""

    def end(self, ticket: Any) -> End | None:
        """How the job ended; None while it waits or runs, or nothing is known of it.

        What was an end may turn out to be none: a job that is begun anew.
        """

    def knows(self, ticket: Any) -> bool:
        """Whether the cluster tells of the job: that it waits, runs or has ended."""

    def waits(self, ticket: Any) -> bool:
        """Whether the cluster says that the job waits in the queue, for the first time or again."""

    def recall(self, ticket: Any) -> None:
        """Takes a job out of the queue, if it still waits there."""

    def kill(self, ticket: Any) -> None:
        """Ends a job at once."""

    def forget(self, ticket: Any) -> None:
        """The job is over: what was kept for it can go."""

    def close(self) -> None:
        """Lets go of the cluster."""


@dataclass
class ClusterJob:
    """See `Job`. begun: never, while no worker is at the run; over: since when the cluster has called it so.

    ticket: None while the cluster has not taken it yet; step: the last of the training that it told of; recalled:
    whether it was to be taken out of the queue.
    """

    run_id: str
    ticket: Any
    mailbox: Mailbox
    dispatcher: Dispatcher
    begun: float = math.inf
    result: Result | None = None
    claim: Claim | None = None
    aborted: tuple[FailureKind, str] | None = None
    over: float | None = None
    step: int = 0
    recalled: bool = False

    def cancel(self) -> None:
        """See `Job.cancel`. Where it still waits in the queue, it is taken out."""
        if self.result is None:
            self.mailbox.ask_to_stop()
            self.recalled = self.claim is None or self.dispatcher.waits(self.ticket)
            if self.recalled and self.ticket is not None:
                self.dispatcher.recall(self.ticket)

    def abort(self, kind: FailureKind, message: str) -> None:
        """See `Job.abort`."""
        if self.result is not None or self.aborted is not None:
            return
        if self.dispatcher.waits(self.ticket):  # begun anew: the next worker's time counts
            self.begun = math.inf
        else:
            self.aborted = (kind, message)
            self.dispatcher.kill(self.ticket)

    def claimed(self, claim: Claim) -> None:
        """A worker has taken up the run."""
        self.claim, self.begun = claim, time.monotonic()
