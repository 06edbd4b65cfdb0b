"""Whether a run gets any further from one job to the next."""

from __future__ import annotations

from contextlib import suppress

from harness.errors import StoreError
from harness.store.store import Store

MOST_IN_VAIN = 3
VAIN = f"{MOST_IN_VAIN} jobs in turn were ended before the run got any further: they need more time"

Mark = tuple[bool, int, int]
"""How far a run got: whether it is trained, how many tasks have scores, its last step."""


class Headway:
    """Remembers how far each run got, and how many jobs in turn left it no further."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._furthest: dict[str, Mark] = {}
        self._vain: dict[str, int] = {}

    def is_stuck(self, run_id: str, step: int) -> bool:
        """Whether enough jobs have been tried, now that one more was ended; step: the last that it told of.

        What a job did and did not record is done anew by the next one, and counts for nothing.
        """
        with suppress(StoreError):
            if (state := self._store.states([run_id]).get(run_id)) is None:  # forgotten by another command
                return False
            mark = (state.trained, len(state.scored), step)
            if mark > self._furthest.get(run_id, (False, 0, 0)):
                self._furthest[run_id], self._vain[run_id] = mark, 0
            else:
                self._vain[run_id] = self._vain.get(run_id, 0) + 1
        return self._vain.get(run_id, 0) >= MOST_IN_VAIN
