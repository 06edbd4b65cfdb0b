"""Which runs are tried again within one command, and when."""

from __future__ import annotations

import time
from collections import Counter

from harness.pipeline.execute import Result

MOST = {"crashed": 1}
"""How often a run is tried again after a failure of a kind. What is not named would only fail again."""
MOST_UNASKED = 5
"""How often a run is asked for again that another command on the same experiment has taken out of the database."""
PAUSE_SECONDS = 5.0
"""The pause before a further try: what killed a worker (memory, another program) may pass."""


class Retries:
    """Counts the further tries of each run."""

    def __init__(self, pause: float = PAUSE_SECONDS) -> None:
        self._pause = pause
        self._tried: Counter[tuple[str, str | None]] = Counter()
        self._due: dict[str, float] = {}

    def grants(self, result: Result) -> bool:
        """Whether the run is to be tried again; that counts as a try."""
        key = (result.run_id, "unasked" if result.unasked else result.kind)
        if self._tried[key] >= (MOST_UNASKED if result.unasked else MOST.get(result.kind or "", 0)):
            return False
        self._tried[key] += 1
        if not result.unasked:
            self._due[result.run_id] = time.monotonic() + self._pause
        return True

    def is_due(self, run_id: str) -> bool:
        """Whether the pause before the run's next try is over."""
        return time.monotonic() >= self._due.get(run_id, 0.0)
