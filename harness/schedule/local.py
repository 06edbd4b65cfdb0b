"""Worker processes on this machine, one per slot, each keeping its base model from run to run."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import wait

from harness.errors import RunError
from harness.paths import RunPaths, home
from harness.pipeline.execute import Result
from harness.pipeline.prerequisites import Obstacle
from harness.schedule.checking import checked
from harness.schedule.executor import Tell
from harness.schedule.failing import record_failure
from harness.schedule.flag import Flag
from harness.schedule.handed import Asker, specification
from harness.schedule.machine import Machine
from harness.schedule.slot import LocalJob, Slot, ended, free
from harness.schedule.worker import Post
from harness.spec.run import ModelRef
from harness.store.store import Store


class Local:
    """See `Executor`. A worker that dies fails its run as `crashed` and is replaced.

    workers, runs_per_device: see `Machine.places`.
    """

    def __init__(
        self,
        store: Store,
        asker: Asker,
        tell: Tell,
        workers: int | None = None,
        runs_per_device: int = 1,
        timeout: float | None = None,
    ) -> None:
        self._timeout = timeout
        self._store, self._asker, self._tell = store, asker, tell
        self._machine = Machine.here()
        self._bases: dict[str, ModelRef | None] = {}
        self.stopping = False
        context = multiprocessing.get_context("spawn")
        places = self._machine.places(workers, runs_per_device)
        self._slots = [Slot(context, gpu, self._post(Flag(context))) for gpu in places]

    def _post(self, stop: Flag) -> Post:
        return Post(self._store.url, self._asker, self._machine, stop, self._timeout)

    def check(self, run_ids: Sequence[str]) -> dict[str, Obstacle]:
        """See `Executor.check`."""
        return checked(self._slots[0], run_ids)

    def takes(self, run_id: str) -> bool:
        """See `Executor.takes`. Without GPUs, a run of several threads begins only where it finds that many cores."""
        base = self._base(run_id)
        busy = [self._threads(slot.base) for slot in self._slots if slot.job is not None]
        return free(self._slots, base) is not None and self._machine.has_room(self._threads(base), busy)

    def _threads(self, base: ModelRef | None) -> int:
        return 1 if base is None else self._machine.threads(base)

    def submit(self, run_id: str) -> LocalJob:
        """See `Executor.submit`."""
        base = self._base(run_id)
        slot = free(self._slots, base)
        if slot is None:
            raise ValueError(f"no slot is free for {run_id}; ask `takes` first")
        job = slot.begin(run_id, base)
        if self.stopping:  # also where the signal came just now
            job.cancel()
        return job

    def _base(self, run_id: str) -> ModelRef | None:
        """The run's base model; None where its specification can't be read, of which its worker tells."""
        if run_id not in self._bases:
            self._bases[run_id] = None
            with suppress(RunError):
                run = specification(self._store, run_id, self._asker)
                self._bases[run_id] = None if run is None else run.model
        return self._bases[run_id]

    def wait(self, seconds: float) -> None:
        """See `Executor.wait`."""
        busy = {slot.connection: slot for slot in self._slots if slot.job is not None and slot.connection is not None}
        for connection in wait(list(busy), timeout=seconds):
            self._hear(busy[connection])  # type: ignore[index]

    def _hear(self, slot: Slot) -> None:
        """Takes one message of a worker, or the news of its death."""
        assert slot.job is not None
        try:
            kind, content = slot.hear()
        except EOFError:
            self._died(slot, slot.job)
            return
        if kind == "claimed":
            slot.job.claim = content
        elif kind == "event":
            self._tell(slot.job.run_id, content)
        elif kind == "done":
            result, sound = content
            slot.over(result)
            if not sound:
                slot.replace()

    def _died(self, slot: Slot, job: LocalJob) -> None:
        """Records that the worker died in the middle of its run, or was killed by us."""
        message = f"{ended(slot.exit_code())}; see {RunPaths(home(), '', job.run_id).log}"
        kind, message = job.aborted or ("crashed", message)
        record_failure(self._store, job.run_id, job.claim, kind, message)
        slot.over(Result(job.run_id, "failed", kind, message))
        slot.replace()

    def stop(self) -> None:
        """See `Executor.stop`."""
        self.stopping = True
        for slot in self._slots:
            slot.stop.set()

    def close(self) -> None:
        """See `Executor.close`."""
        for slot in self._slots:
            slot.replace()
