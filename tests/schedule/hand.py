"""A cluster of which a test decides how its jobs end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import RunError
from harness.pipeline.workers import worker_name
from harness.schedule.cluster.errand import Errand
from harness.schedule.cluster.job import End
from harness.schedule.cluster.mailbox import Mailbox
from harness.schedule.handed import Asker
from harness.store.store import Store

FEW = Asker("few", "paper")


def until(happens: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := happens()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


class Hand:
    """A cluster of which a test decides how its jobs end. sent: the errands; killed, recalled: run ids.

    tells: whether it says of a job that it waits, runs or has ended; waiting: run ids of jobs in the queue.
    """

    places = 2

    def __init__(self) -> None:
        self.sent: dict[str, Errand] = {}
        self.ends: dict[str, End] = {}
        self.killed: list[str] = []
        self.recalled: list[str] = []
        self.refuses: str | None = None
        self.tells = True
        self.waiting: set[str] = set()

    def fault(self) -> None: ...

    def submit(self, errand: Errand) -> str:
        if self.refuses:
            raise RunError("config", self.refuses)
        self.sent[errand.run_id] = errand
        return errand.run_id

    def name(self, ticket: str) -> str:
        return f"job {ticket}"

    def end(self, ticket: str) -> End | None:
        return self.ends.get(ticket)

    def knows(self, ticket: str) -> bool:
        return self.tells

    def waits(self, ticket: str) -> bool:
        return ticket in self.waiting

    def recall(self, ticket: str) -> None:
        self.recalled.append(ticket)

    def kill(self, ticket: str) -> None:
        self.killed.append(ticket)
        self.ends[ticket] = End("crashed", "was killed")

    def forget(self, ticket: str) -> None: ...

    def close(self) -> None: ...


def begun(store: Store, run_id: str, errand: Errand) -> Mailbox:
    """As a job that has claimed its run."""
    claim = store.claim(run_id, worker_name(), "cpu", store.states([run_id]).get(run_id), {})
    assert claim is not None
    mailbox = Mailbox(Path(errand.mailbox))
    mailbox.send(("claimed", claim))
    return mailbox
