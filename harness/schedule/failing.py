"""Recording how a run failed whose process can't do it any more."""

from __future__ import annotations

from contextlib import suppress

from harness.errors import StoreError
from harness.pipeline.workers import is_gone, worker_name
from harness.store.records import Claim
from harness.store.store import Store


def record_failure(store: Store, run_id: str, claim: Claim | None, kind: str, message: str) -> None:
    """Records the failure under its worker's claim, or, where that had none or let go of it, under one of our own.

    Nothing is recorded where a failure or the end is on record already, or another worker has the run meanwhile.
    """
    if claim is not None:
        with suppress(StoreError):
            store.fail(claim, kind, message, "", {})
            return
    with suppress(StoreError):
        state = store.states([run_id]).get(run_id)
        if state is None or state.status not in ("pending", "running"):
            return
        if state.status == "running" and not is_gone(state):
            return
        if (ours := store.claim(run_id, worker_name(), None, state)) is not None:
            store.fail(ours, kind, message, "", {})
