"""Slurm, by way of submitit."""

from __future__ import annotations

import logging
import shlex
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from harness.errors import FailureKind, PrerequisiteError, RunError
from harness.paths import home
from harness.schedule.cluster.errand import Errand
from harness.schedule.cluster.job import End

MANY = 100
"""So many jobs are in the queue at once where nobody says otherwise."""
ASK_SECONDS = 20.0
"""How often Slurm is asked for all jobs' states, in one call."""
KINDS: dict[str, FailureKind] = {"OUT_OF_MEMORY": "oom", "TIMEOUT": "timeout", "DEADLINE": "timeout"}
OURS = ("array", "error", "nodes", "ntasks", "output", "parsable", "wait", "wrap")
"""Options of sbatch that a job for one run has no choice in."""


class SlurmJobs:
    """See `Dispatcher`. options: sbatch's long ones, without dashes before; a value may be empty.

    Raises PrerequisiteError where submitit or Slurm's commands are missing, or an option is not for the user to give.
    """

    def __init__(self, options: Mapping[str, str], places: int | None = None) -> None:
        self._options = {name.strip("-").replace("-", "_"): value or True for name, value in options.items()}
        if taken := sorted(name.replace("_", "-") for name in self._options if name.replace("_", "-") in OURS):
            raise PrerequisiteError(f"--slurm {taken[0]}: a job does one run, in one task; this can't be set")
        try:
            from submitit import SlurmExecutor
        except ImportError:
            needed = "--executor slurm needs the package submitit: pip install 'peft-harness[slurm]'"
            raise PrerequisiteError(needed) from None
        logging.getLogger("submitit").setLevel(logging.ERROR)  # it warns on stdout where Slurm keeps no accounts
        self.places = places or MANY
        self._asked = time.monotonic()
        folder = home() / "slurm"
        try:
            self._slurm = SlurmExecutor(folder)
        except RuntimeError:
            needed = "--executor slurm needs Slurm's commands (sbatch, srun, sacct, scancel); run it on a login node"
            raise PrerequisiteError(needed) from None
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # what is handed over names the database, maybe with a password
        unset: Any = None  # submitit's own choices: five minutes, a wckey
        self._slurm.update_parameters(time=unset, wckey=unset, additional_parameters=self._options)

    def fault(self) -> str | None:
        """See `Dispatcher.fault`: what `sbatch --test-only` says."""
        flags = [f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}") for name, value in self._given]
        command = ["sbatch", "--test-only", *flags, "--wrap", "true"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"sbatch does not answer: {error}"
        if told.returncode == 0:
            return None
        words = "; ".join(line.removeprefix("sbatch: ") for line in told.stderr.splitlines() if line.strip())
        return f"Slurm would take no job with {shlex.join(flags) or 'no options'}: {words}"

    @property
    def _given(self) -> list[tuple[str, Any]]:
        return sorted(self._options.items())

    def submit(self, errand: Errand) -> Any:
        """See `Dispatcher.submit`."""
        self._slurm.update_parameters(job_name=f"harness-{errand.run_id}")
        try:
            return self._slurm.submit(partial(errand, heeds_signals=True, cores=None))
        except Exception as error:
            raise RunError("config", f"sbatch failed: {error}") from error

    def name(self, ticket: Any) -> str:
        """See `Dispatcher.name`."""
        return f"Slurm job {ticket.job_id}"

    def end(self, ticket: Any) -> End | None:
        """See `Dispatcher.end`. A job that Slurm begins anew by itself has not ended."""
        mode = "cache"
        if time.monotonic() - self._asked > ASK_SECONDS or not ticket.watcher.num_calls:
            self._asked, mode = time.monotonic(), "force"
        if not ticket.watcher.is_done(ticket.job_id, mode=mode):
            return None
        state = ticket.watcher.get_state(ticket.job_id, mode="cache")
        return End(KINDS.get(state.split()[0], "crashed"), f"ended as {state}; see {ticket.paths.stderr}")

    def recall(self, ticket: Any) -> None:
        """See `Dispatcher.recall`."""
        self._cancel("--state=PENDING", ticket.job_id)

    def kill(self, ticket: Any) -> None:
        """See `Dispatcher.kill`. Slurm announces it first, and waits for so long as it is set up to."""
        self._cancel(ticket.job_id)

    def _cancel(self, *arguments: str) -> None:
        self._asked = 0.0
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["scancel", *arguments], capture_output=True, check=False, timeout=60)

    def forget(self, ticket: Any) -> None:
        """See `Dispatcher.forget`. Its logs stay."""
        paths = ticket.paths
        for file in (paths.submitted_pickle, paths.result_pickle, paths.submission_file):
            file.unlink(missing_ok=True)

    def close(self) -> None:
        """See `Dispatcher.close`."""
