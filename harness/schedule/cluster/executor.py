"""Jobs on a cluster, one for each run."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.errors import PrerequisiteError, RunError, StoreError
from harness.paths import home
from harness.pipeline.execute import Result
from harness.pipeline.prerequisites import Obstacle
from harness.pipeline.workers import is_gone
from harness.schedule.checking import checked_here
from harness.schedule.cluster.errand import Errand
from harness.schedule.cluster.job import ClusterJob, Dispatcher, End
from harness.schedule.cluster.mailbox import Mailbox
from harness.schedule.executor import Tell
from harness.schedule.handed import Asker
from harness.store.store import Store

TICK_SECONDS = 0.5
LATE_SECONDS = 15.0
"""A file that a job wrote as its last may be seen here so much later than its end."""
ADVANCES = ("step", "items", "task")
MOST_IN_VAIN = 3
SILENT_SECONDS = 30.0
"""How often the database is asked for jobs of whose end the cluster may not tell."""


class Cluster:
    """See `Executor`. Jobs go on where this process dies; the same command finds what they record.

    dispatcher: hands them to Slurm or Ray.
    """

    def __init__(
        self, store: Store, asker: Asker, tell: Tell, dispatcher: Dispatcher, timeout: float | None = None
    ) -> None:
        self._store, self._asker, self._tell, self._dispatcher = store, asker, tell, dispatcher
        self._timeout = timeout
        self._jobs: list[ClusterJob] = []
        self._vain: Counter[str] = Counter()
        self._looked = time.monotonic()
        self._stopped = False
        self.stopping = False

    def check(self, run_ids: Sequence[str]) -> dict[str, Obstacle]:
        """See `Executor.check`. Raises PrerequisiteError where the cluster would take no job."""
        if run_ids and (fault := self._dispatcher.fault()):
            raise PrerequisiteError(fault)
        return checked_here(self._store.url, self._asker, run_ids)

    def takes(self, run_id: str) -> bool:
        """See `Executor.takes`."""
        return len(self._jobs) < self._dispatcher.places

    def submit(self, run_id: str) -> ClusterJob:
        """See `Executor.submit`. What is refused has failed."""
        boxes = home() / "jobs"
        boxes.mkdir(parents=True, exist_ok=True)
        mailbox = Mailbox(Path(tempfile.mkdtemp(prefix=f"{run_id}-", dir=boxes)))
        job = ClusterJob(run_id, None, mailbox, self._dispatcher)
        try:
            job.ticket = self._dispatcher.submit(self._errand(run_id, mailbox))
        except RunError as error:
            self._end(job, Result(run_id, "failed", error.kind, str(error)))
            return job
        self._jobs.append(job)
        self._tell(run_id, {"event": "queued", "job": self._dispatcher.name(job.ticket)})
        return job

    def _errand(self, run_id: str, mailbox: Mailbox) -> Errand:
        return Errand(
            run_id, self._store.url, self._asker, self._timeout, str(home()), str(Path.cwd()), str(mailbox.folder),
            tuple(os.path.abspath(place) for place in sys.path), socket.gethostname(),
        )  # fmt: skip

    def wait(self, seconds: float) -> None:
        """See `Executor.wait`."""
        until = time.monotonic() + seconds
        while True:
            if self.stopping and not self._stopped:
                self._stopped = True
                for job in self._jobs:
                    job.cancel()
            silent = self._silent()
            heard = [self._heard(job, job.run_id in silent) for job in list(self._jobs)]
            if any(heard) or time.monotonic() >= until:
                return
            time.sleep(min(TICK_SECONDS, max(0.0, until - time.monotonic())))

    def _heard(self, job: ClusterJob, silent: bool) -> bool:
        """Takes what a job tells, and the news of its end. Whether there was any."""
        news = job.mailbox.news()
        for kind, content in news:
            if kind == "claimed":
                job.claimed(content)
            elif kind == "event":
                job.advanced = job.advanced or content["event"] in ADVANCES
                self._tell(job.run_id, content)
            elif kind == "done":
                self._end(job, self._in_vain(job, content) or content)
                return True
        end = self._dispatcher.end(job.ticket)
        if end is None and silent:
            end = End("crashed", "has not been heard of for minutes")
            self._dispatcher.kill(job.ticket)
        elif end is not None and not silent:
            job.over = job.over or time.monotonic()
            if time.monotonic() - job.over < LATE_SECONDS:
                return bool(news)
        if end is not None:
            self._died(job, end)
        return bool(news) or end is not None

    def _in_vain(self, job: ClusterJob, result: Result) -> Result | None:
        """The failure of a run whose jobs end, one after the other, before it gets anywhere."""
        if result.outcome != "stopped" or job.advanced or self.stopping:
            self._vain.pop(job.run_id, None)
            return None
        self._vain[job.run_id] += 1
        if self._vain[job.run_id] < MOST_IN_VAIN:
            return None
        message = f"{MOST_IN_VAIN} jobs in turn were ended before they had done a step: they need more time"
        return Result(job.run_id, "failed", "timeout", message)

    def _silent(self) -> set[str]:
        """The runs whose workers are known to be dead, by the database; asked for now and then."""
        claimed = [job.run_id for job in self._jobs if job.claim is not None]
        if not claimed or time.monotonic() - self._looked < SILENT_SECONDS:
            return set()
        self._looked = time.monotonic()
        with suppress(StoreError):
            states = self._store.states(claimed)
            return {run_id for run_id, state in states.items() if state.status == "running" and is_gone(state)}
        return set()

    def _died(self, job: ClusterJob, end: End) -> None:
        """Records that a job ended without a word, was ended by us, or was taken out of the queue."""
        if job.claim is None and self.stopping:
            self._end(job, Result(job.run_id, "stopped"))
            return
        kind, message = job.aborted or (end.kind, f"{self._dispatcher.name(job.ticket)} {end.words}")
        if job.claim is not None:
            with suppress(StoreError):  # taken over by another worker meanwhile: theirs to say how it ends
                self._store.fail(job.claim, kind, message, "", {})
        self._end(job, Result(job.run_id, "failed", kind, message))

    def _end(self, job: ClusterJob, result: Result) -> None:
        job.result = result
        if job in self._jobs:
            self._jobs.remove(job)
            self._dispatcher.forget(job.ticket)
        shutil.rmtree(job.mailbox.folder, ignore_errors=True)

    def stop(self) -> None:
        """See `Executor.stop`."""
        self.stopping = True

    def close(self) -> None:
        """See `Executor.close`. Jobs that are still in hand are ended."""
        for job in list(self._jobs):
            self._dispatcher.kill(job.ticket)
        self._dispatcher.close()
