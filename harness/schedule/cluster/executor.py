"""Jobs on a cluster, one for each run."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.errors import FailureKind, PrerequisiteError, RunError, StoreError
from harness.paths import home
from harness.pipeline.execute import Result
from harness.pipeline.outage import outage
from harness.pipeline.prerequisites import Obstacle
from harness.pipeline.workers import is_gone
from harness.schedule.checking import checked_here
from harness.schedule.cluster.errand import Errand
from harness.schedule.cluster.handover import Handover
from harness.schedule.cluster.headway import VAIN, Headway
from harness.schedule.cluster.job import ClusterJob, Dispatcher, End
from harness.schedule.cluster.mailbox import Mailbox, remove_old
from harness.schedule.executor import Tell
from harness.schedule.failing import record_failure
from harness.schedule.handed import Asker
from harness.store.store import Store

TICK_SECONDS = 0.5
LATE_SECONDS = 30.0
"""For so long an end has to last: the job's last word may be seen later, and a job may be begun anew."""
SILENT_SECONDS = 30.0
"""How often the database is asked for jobs of which the cluster does not tell."""


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
        self._handover = Handover(dispatcher, self._errand, tell)
        self._headway = Headway(store)
        self._looked = time.monotonic()
        self._stopped = False
        self.stopping = False
        remove_old(self._boxes)

    @property
    def _boxes(self) -> Path:
        return home() / "jobs"

    def check(self, run_ids: Sequence[str]) -> dict[str, Obstacle]:
        """See `Executor.check`. Raises PrerequisiteError where the cluster would take no job."""
        if run_ids and (fault := self._dispatcher.fault()):
            raise PrerequisiteError(fault)
        return checked_here(self._store.url, self._asker, run_ids)

    def takes(self, run_id: str) -> bool:
        """See `Executor.takes`. While the cluster refuses a job, it is given no other."""
        return len(self._jobs) < self._dispatcher.places and all(job.ticket is not None for job in self._jobs)

    def submit(self, run_id: str) -> ClusterJob:
        """See `Executor.submit`."""
        try:
            mailbox = Mailbox.new(self._boxes, run_id, self._store.url)
        except OSError as error:
            nowhere, told = Mailbox(self._boxes / run_id), outage(error) or str(error)
            blocked = Result(run_id, "blocked", message=told, halts=True)
            return ClusterJob(run_id, None, nowhere, self._dispatcher, result=blocked)
        job = ClusterJob(run_id, None, mailbox, self._dispatcher)
        self._jobs.append(job)
        self._hand_over(job)
        return job

    def _hand_over(self, job: ClusterJob) -> None:
        """Gives it to the cluster, unless that refuses it for now. What it never takes stops the experiment."""
        try:
            self._handover.attempt(job, alone=len(self._jobs) == 1)
        except RunError as error:
            self._end(job, Result(job.run_id, "blocked", message=str(error), halts=True))

    def _errand(self, job: ClusterJob) -> Errand:
        return Errand(
            job.run_id, self._asker, self._timeout, str(home()), str(Path.cwd()), str(job.mailbox.folder),
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
        if job.ticket is None:
            if job.recalled:
                self._end(job, Result(job.run_id, "stopped"))
            else:
                self._hand_over(job)
            return job.result is not None
        news = job.mailbox.news()
        for kind, content in news:
            if kind == "claimed":
                job.claimed(content)
            elif kind == "event":
                job.step = content["step"] if content["event"] == "step" else job.step
                self._tell(job.run_id, content)
            elif kind == "done":
                self._said_last(job, content)
                return True
        end = self._dispatcher.end(job.ticket)
        if end is None and silent:
            self._dispatcher.kill(job.ticket)
            self._died(job, End("crashed", "has not been heard of for minutes"))
        elif end is None:
            job.over = None
        else:
            job.over = job.over or time.monotonic()
            if time.monotonic() - job.over >= (0.0 if job.recalled else LATE_SECONDS):
                self._died(job, end)
        return bool(news) or job.result is not None

    def _said_last(self, job: ClusterJob, result: Result) -> None:
        """Ends a job by its own word, unless that is only that it was ended."""
        if result.outcome == "stopped":
            self._dispatcher.kill(job.ticket)  # where the cluster would begin it anew by itself
        if result.outcome == "stopped" and job.aborted is not None:
            self._fail(job, *job.aborted)
        elif result.outcome == "stopped" and not self.stopping and self._headway.is_stuck(job.run_id, job.step):
            self._fail(job, "timeout", VAIN)
        else:
            self._end(job, result)
        if result.halts:
            for waiting in [each for each in self._jobs if each.claim is None]:
                waiting.cancel()

    def _silent(self) -> set[str]:
        """The runs whose workers are dead by the database while the cluster does not tell; looked for now and then."""
        if time.monotonic() - self._looked < SILENT_SECONDS:
            return set()
        self._looked = time.monotonic()
        unknown = [job for job in self._jobs if job.claim is not None and not self._dispatcher.knows(job.ticket)]
        with suppress(StoreError):
            states = self._store.states([job.run_id for job in unknown])
            return {run_id for run_id, state in states.items() if state.status == "running" and is_gone(state)}
        return set()

    def _died(self, job: ClusterJob, end: End) -> None:
        """Ends a job that ended without a word, was ended by us, or was taken out of the queue."""
        if job.recalled:
            if job.claim is not None:  # of a worker that died before the job came into the queue again
                with suppress(StoreError):
                    self._store.release(job.claim, {})
            self._end(job, Result(job.run_id, "stopped"))
        elif job.aborted is None and (recorded := self._recorded(job)) is not None:
            self._said_last(job, recorded)
        else:
            self._fail(job, *(job.aborted or (end.kind, f"{self._dispatcher.name(job.ticket)} {end.words}")))

    def _recorded(self, job: ClusterJob) -> Result | None:
        """How the run ended by the database, where the job's last word was lost; None where it did not."""
        with suppress(StoreError):
            state = self._store.states([job.run_id]).get(job.run_id)
            if state is None or job.claim is None or state.attempts != job.claim.attempt:
                return None
            if state.status == "complete":
                return Result(job.run_id, "complete")
            if state.status == "failed":
                return Result(job.run_id, "failed", state.kind, state.error)
            if state.status == "pending":
                return Result(job.run_id, "stopped")
        return None

    def _fail(self, job: ClusterJob, kind: FailureKind, message: str) -> None:
        """Ends a job that could not record its failure itself."""
        record_failure(self._store, job.run_id, job.claim, kind, message)
        self._end(job, Result(job.run_id, "failed", kind, message))

    def _end(self, job: ClusterJob, result: Result) -> None:
        job.result = result
        self._jobs.remove(job)
        if job.ticket is not None:
            self._dispatcher.forget(job.ticket)
        job.mailbox.remove()

    def stop(self) -> None:
        """See `Executor.stop`."""
        self.stopping = True

    def close(self) -> None:
        """See `Executor.close`. Jobs that are still in hand are ended."""
        for job in list(self._jobs):
            if job.ticket is not None:
                self._dispatcher.kill(job.ticket)
            self._end(job, Result(job.run_id, "stopped"))
        self._dispatcher.close()
