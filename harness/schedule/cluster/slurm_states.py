"""What Slurm says of jobs."""

from __future__ import annotations

import math
import os
import subprocess
import time
from collections.abc import Collection, Sequence

ASK_SECONDS = 20.0
"""How often it is asked for all jobs at once."""
ENDS = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
    "PREEMPTED", "REVOKED", "TIMEOUT",
}  # fmt: skip
"""The states of a job that won't run any more, unless Slurm puts it into the queue again."""
WAITS = {"CONFIGURING", "PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"}
"""The states of a job that no process of ours does."""
GONE = "GONE"
"""Ours: it is no longer in the queue, and there is no account of it."""


class SlurmStates:
    """The states of the jobs that are watched, by number."""

    def __init__(self) -> None:
        self._watched: set[str] = set()
        self._found: dict[str, str] = {}
        self._asked = -math.inf

    def watch(self, job: str) -> None:
        """Asks for this one, too, from now on."""
        self._watched.add(job)

    def forget(self, job: str) -> None:
        """Asks for it no more."""
        self._watched.discard(job)
        self._found.pop(job, None)

    def ask_soon(self) -> None:
        """Something has changed: Slurm is asked at the next occasion."""
        self._asked = -math.inf

    def of(self, job: str) -> str | None:
        """The job's state in Slurm's word, such as `RUNNING` or `CANCELLED`; None where Slurm did not tell."""
        if time.monotonic() - self._asked >= ASK_SECONDS:
            self._ask()
            self._asked = time.monotonic()
        return self._found.get(job)

    def _ask(self) -> None:
        queue = _rows(["squeue", "--noheader", f"--user={os.getuid()}", "--states=all", "--format=%A|%T"])
        self._found = {job: state for job, state in (queue or {}).items() if job in self._watched}
        if absent := self._watched - self._found.keys():
            accounts = _accounts(absent)
            for job in absent:
                state = accounts.get(job, GONE if queue is not None else None)
                # Accounts lag behind: that they call a job alive which has left the queue is no news of it.
                if state is not None and (queue is None or state in {*ENDS, GONE}):
                    self._found[job] = state


def own_environment() -> dict[str, str]:
    """Without the variables by which a user filters what Slurm's commands tell and do."""
    filters = ("SQUEUE_", "SACCT_", "SCANCEL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(filters)}


def _accounts(jobs: Collection[str]) -> dict[str, str]:
    """The states that Slurm has kept; none where it keeps no accounts."""
    format_ = ["--noheader", "--parsable2", "--allocations", "--format=JobIDRaw,State"]
    return _rows(["sacct", *format_, "--jobs", ",".join(sorted(jobs))]) or {}


def _rows(command: Sequence[str]) -> dict[str, str] | None:
    """Job and state from each line; None where there was no answer."""
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=own_environment())
    except (OSError, subprocess.TimeoutExpired):
        return None
    if told.returncode:
        return None
    rows = [line.strip().partition("|") for line in told.stdout.splitlines() if "|" in line]
    return {job: state.split()[0] for job, _, state in rows if state.strip()}
