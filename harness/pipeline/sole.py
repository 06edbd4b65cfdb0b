"""One worker at a time has the same weights in hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from harness.catalog.held_file import held
from harness.pipeline.workers import worker_name
from harness.store.database import shown, sqlite_file

if TYPE_CHECKING:
    from harness.pipeline.execute import Work


class _Overtaken(Exception):
    """Whoever holds the weights has lost its run: it will notice, and write nothing."""


@contextmanager
def sole(work: Work) -> Iterator[None]:
    """Within: no other worker trains or loads the weights of this run, or writes their checkpoints.

    Runs that differ in their scoring share a training, and so do two databases with one home. A worker that is
    stopped holds the weights, but not for those who can see that its run was taken over. Raises Stopped where this
    run is to end meanwhile.
    """
    from harness.train.training import Stopped

    def wait() -> None:
        if _is_overtaken(work):
            raise _Overtaken
        if work.ends():
            raise Stopped("stopped while another run trains the same weights")

    work.paths.lock.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with suppress(_Overtaken):
            file = stack.enter_context(held(work.paths.lock, wait))
            stack.callback(file.truncate, 0)
            file.truncate(0)
            file.write(json.dumps(_holder(work)).encode())
        yield


def _holder(work: Work) -> dict[str, Any]:
    """What others need to see whether its run is still this worker's."""
    file = sqlite_file(work.store.url)
    database = str(file.resolve()) if file else shown(work.store.url)
    return {"db": database, "run": work.run.run_id, "worker": worker_name(), "attempt": work.claim.attempt}


def _is_overtaken(work: Work) -> bool:
    """Whether the run for which they are held is another worker's by now, or done. Unknown of another database's."""
    try:
        holder = json.loads(work.paths.lock.read_bytes())
    except (OSError, ValueError):
        return False
    if holder["db"] != _holder(work)["db"]:
        return False
    state = work.store.states([holder["run"]]).get(holder["run"])
    held_by = None if state is None else (state.status, state.worker, state.attempts)
    return held_by != ("running", holder["worker"], holder["attempt"])
