"""The life of a spawned worker whose stages have edges."""

from __future__ import annotations

from multiprocessing.connection import Connection

import edges
import elsewhere

from harness.schedule import worker
from harness.schedule.worker import Post


def work_through(connection: Connection, post: Post) -> None:
    """As `harness.schedule.worker.work_through`, in a process that imports nothing of its parent's."""
    edges.install()
    elsewhere.install()
    worker.work_through(connection, post)
