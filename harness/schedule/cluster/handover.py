"""Giving jobs to a cluster that may refuse them for a while."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.errors import RunError
from harness.schedule.cluster.errand import Errand
from harness.schedule.cluster.job import ClusterJob, Dispatcher

AGAIN_SECONDS = 30.0
"""A job that was refused is tried again after so long: there was no answer, or enough of the user's in the queue."""
MOST_REFUSALS = 3
"""With no other job in hand, whose end could make room, a job is tried so often."""


class Handover:
    """Remembers what was refused, and when. errand: what a job is to do."""

    def __init__(self, dispatcher: Dispatcher, errand: Callable[[ClusterJob], Errand]) -> None:
        self._dispatcher, self._errand = dispatcher, errand
        self._refused: dict[str, list[float]] = {}

    def tries(self, job: ClusterJob, alone: bool) -> bool:
        """Whether the cluster has taken the job now; it is not asked again at once after it has refused.

        alone: no other job is in hand. Raises RunError where it refuses a job then, and has done so before.
        """
        refused = self._refused.setdefault(job.run_id, [])
        if refused and time.monotonic() - refused[-1] < AGAIN_SECONDS:
            return False
        try:
            job.ticket = self._dispatcher.submit(self._errand(job))
        except RunError:
            refused.append(time.monotonic())
            if alone and len(refused) >= MOST_REFUSALS:
                raise
            return False
        del self._refused[job.run_id]
        return True
