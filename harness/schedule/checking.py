"""Looking through runs before any is begun, in a process that may load torch."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence

from harness.pipeline.prerequisites import Obstacle
from harness.schedule.flag import Flag
from harness.schedule.handed import Asker
from harness.schedule.machine import Machine
from harness.schedule.slot import Slot
from harness.schedule.worker import Post


def checked(slot: Slot, run_ids: Sequence[str]) -> dict[str, Obstacle]:
    """See `Executor.check`; a slot's process does it."""
    if not run_ids:
        return {}
    try:
        return slot.ask(("check", list(run_ids)))
    except EOFError:  # dead: whatever killed it will tell as its run fails
        slot.replace()
        return {}


def checked_here(db: str, asker: Asker, run_ids: Sequence[str]) -> dict[str, Obstacle]:
    """The same, in a process that is there for nothing else, where the runs are done on other machines."""
    context = multiprocessing.get_context("spawn")
    slot = Slot(context, None, Post(db, asker, Machine.here(), Flag(context)))
    try:
        return checked(slot, run_ids)
    finally:
        slot.replace()
