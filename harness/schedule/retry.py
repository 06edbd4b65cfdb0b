"""Which runs are tried again within one command, and when."""

from __future__ import annotations

import time
from collections import Counter

from harness.pipeline.execute import Result

MOST = {"crashed": 1, "unasked": 5, "stopped": 100}
"""How often a run is tried again, by the kind of its failure or by why it was not done.

unasked: another command on the same experiment has taken it out of the database; stopped: a cluster ended its job
softly, its time being over. What is not named would only fail again.
"""
PAUSE_SECONDS = 5.0
"""The pause before a further try: what killed a worker (memory, another program) may pass."""


class Retries:
    """Counts the further tries of each run."""

    def __init__(self, pause: float = PAUSE_SECONDS) -> None:
        self._pause = pause
        self._tried: Counter[tuple[str, str]] = Counter()
        self._due: dict[str, float] = {}

    def grants(self, result: Result) -> bool:
        """Whether the run is to be tried again; that counts as a try."""
        why = "unasked" if result.unasked else result.kind or result.outcome
        key = (result.run_id, why)
        if self._tried[key] >= MOST.get(why, 0):
            return False
        self._tried[key] += 1
        if not result.unasked:
            self._due[result.run_id] = time.monotonic() + self._pause
        return True

    def is_due(self, run_id: str) -> bool:
        """Whether the pause before the run's next try is over."""
        return time.monotonic() >= self._due.get(run_id, 0.0)
