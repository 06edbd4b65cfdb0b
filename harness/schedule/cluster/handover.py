"""Giving jobs to a cluster that may refuse them for a while."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from harness.errors import RunError
from harness.schedule.cluster.errand import Errand
from harness.schedule.cluster.job import ClusterJob, Dispatcher
from harness.schedule.executor import Tell

AGAIN_SECONDS = 30.0
"""A job that was refused is tried again after so long: there was no answer, or enough of the user's in the queue."""
MOST_REFUSALS = 3
"""With no other job in hand, whose end could make room, a job is refused so often at most."""


class Handover:
    """Remembers what was refused, and when. errand: what a job is to do; tell: told of `queued` and `refused`."""

    def __init__(self, dispatcher: Dispatcher, errand: Callable[[ClusterJob], Errand], tell: Tell) -> None:
        self._dispatcher, self._errand, self._tell = dispatcher, errand, tell
        self._refused: dict[str, float] = {}
        self._alone: Counter[str] = Counter()

    def attempt(self, job: ClusterJob, alone: bool) -> None:
        """Gives the job to the cluster, which then has a ticket, unless it was refused just now.

        alone: no other job is in hand. Raises RunError where the cluster refuses it then, time and again.
        """
        if time.monotonic() - self._refused.get(job.run_id, float("-inf")) < AGAIN_SECONDS:
            return
        try:
            job.ticket = self._dispatcher.submit(self._errand(job))
        except RunError as error:
            self._refused[job.run_id] = time.monotonic()
            self._alone[job.run_id] += alone
            if self._alone[job.run_id] >= MOST_REFUSALS:
                raise
            self._tell(job.run_id, {"event": "refused", "why": str(error)})
            return
        self._refused.pop(job.run_id, None)
        self._alone.pop(job.run_id, None)
        self._tell(job.run_id, {"event": "queued", "job": self._dispatcher.name(job.ticket)})
