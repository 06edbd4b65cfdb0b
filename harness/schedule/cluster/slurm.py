"""Slurm, by way of submitit."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from harness.errors import FailureKind, PrerequisiteError, RunError
from harness.paths import home
from harness.schedule.cluster.errand import Errand
from harness.schedule.cluster.job import End
from harness.schedule.cluster.slurm_states import ENDS, GONE, WAITS, SlurmStates, own_environment

MANY = 100
"""So many jobs are in the queue at once where nobody says otherwise."""
KINDS: dict[str, FailureKind] = {"OUT_OF_MEMORY": "oom", "TIMEOUT": "timeout", "DEADLINE": "timeout"}
WRITES_SECONDS = 120.0
"""So long after a job's last word its process may still write a file."""
OURS = {"array", "clusters", "error", "nodes", "ntasks", "output", "parsable", "wait", "wrap"}
"""Options of sbatch that a job for one run has no choice in; so are all of `ntasks-per-...`."""
KEPT = {"SLURM_CLUSTERS", "SLURM_CONF", "SLURM_DEBUG", "SLURM_JWT"}
"""Variables that say where Slurm is; the other ones of Slurm's name describe a job in which the command runs."""
VARIABLES = {"time": "TIMELIMIT", "mem": "MEM_PER_NODE"}
"""Options of sbatch whose variable is not named after them."""
CPUS = '[ -z "$SLURM_CPUS_PER_TASK" ] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"'
"""Since Slurm 22.05 srun takes no notice of the CPUs that sbatch was asked for."""


class SlurmJobs:
    """See `Dispatcher`. options: sbatch's long ones, without dashes before; a value may be empty.

    Raises PrerequisiteError where submitit or Slurm's commands are missing, or an option is not for the user to give.
    """

    def __init__(self, options: Mapping[str, str], places: int | None = None) -> None:
        self._options = {name.strip("-").replace("_", "-"): value for name, value in options.items()}
        if taken := sorted(name for name in self._options if name in OURS or name.startswith("ntasks-per-")):
            raise PrerequisiteError(f"--slurm {taken[0]}: a job does one run, in one task; this can't be set")
        try:
            from submitit import SlurmExecutor
        except ImportError:
            needed = "--executor slurm needs the package submitit: pip install 'peft-harness[slurm]'"
            raise PrerequisiteError(needed) from None
        self.places = places or MANY
        self._states = SlurmStates()
        self._over: list[tuple[float, Any]] = []
        folder = home() / "slurm"
        try:
            self._slurm = SlurmExecutor(folder)
        except RuntimeError:
            needed = "--executor slurm needs Slurm's commands (sbatch, srun, squeue, scancel); run it on a login node"
            raise PrerequisiteError(needed) from None
        unset: Any = None  # submitit's own choices: five minutes, a wckey
        given = {name.replace("-", "_"): value or True for name, value in self._options.items()}
        self._slurm.update_parameters(time=unset, wckey=unset, setup=[CPUS], additional_parameters=given)

    def fault(self) -> str | None:
        """See `Dispatcher.fault`: what `sbatch --test-only` says."""
        flags = [f"--{name}" + (f"={value}" if value else "") for name, value in sorted(self._options.items())]
        command = ["sbatch", "--test-only", *flags, "--wrap", "true"]
        try:
            with _as_asked(self._options):
                told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"sbatch does not answer: {error}"
        if told.returncode == 0:
            return None
        words = "; ".join(line.removeprefix("sbatch: ") for line in told.stderr.splitlines() if line.strip())
        return f"Slurm would take no job with {shlex.join(flags) or 'no options'}: {words}"

    def submit(self, errand: Errand) -> Any:
        """See `Dispatcher.submit`."""
        self._slurm.update_parameters(job_name=f"harness-{errand.run_id}")
        try:
            with _as_asked(self._options):
                ticket = self._slurm.submit(partial(errand, heeds_signals=True, cores=None))
        except Exception as error:
            raise RunError("config", f"sbatch failed: {error}") from error
        self._states.watch(ticket.job_id)
        return ticket

    def name(self, ticket: Any) -> str:
        """See `Dispatcher.name`."""
        return f"Slurm job {ticket.job_id}"

    def end(self, ticket: Any) -> End | None:
        """See `Dispatcher.end`. A job that Slurm begins anew by itself has not ended."""
        state = self._states.of(ticket.job_id)
        if state == GONE:
            return End("crashed", f"is no longer in the queue; see {ticket.paths.stderr}")
        if state in ENDS:
            return End(KINDS.get(state, "crashed"), f"ended as {state}; see {ticket.paths.stderr}")
        return None

    def knows(self, ticket: Any) -> bool:
        """See `Dispatcher.knows`."""
        return self._states.of(ticket.job_id) is not None

    def waits(self, ticket: Any) -> bool:
        """See `Dispatcher.waits`."""
        return self._states.of(ticket.job_id) in WAITS

    def recall(self, ticket: Any) -> None:
        """See `Dispatcher.recall`."""
        self._cancel("--state=PENDING", ticket.job_id)

    def kill(self, ticket: Any) -> None:
        """See `Dispatcher.kill`. Slurm announces it first, and waits for so long as it is set up to."""
        self._cancel(ticket.job_id)

    def _cancel(self, *arguments: str) -> None:
        self._states.ask_soon()
        with suppress(OSError, subprocess.TimeoutExpired):
            command = ["scancel", *arguments]
            subprocess.run(command, capture_output=True, check=False, timeout=60, env=own_environment())

    def forget(self, ticket: Any) -> None:
        """See `Dispatcher.forget`. Its logs stay."""
        self._states.forget(ticket.job_id)
        self._over.append((time.monotonic(), ticket.paths))
        self._tidy()

    def _tidy(self) -> None:
        """Removes submitit's files of jobs that are over; after its last word a process still writes one."""
        for _, paths in self._over:
            for file in (paths.submitted_pickle, paths.result_pickle, paths.submission_file):
                file.unlink(missing_ok=True)
        self._over = [(since, paths) for since, paths in self._over if time.monotonic() - since < WRITES_SECONDS]

    def close(self) -> None:
        """See `Dispatcher.close`."""
        self._tidy()
        for link in self._slurm.folder.glob(".submission_file_*.sh"):
            if link.is_symlink() and not link.exists():
                link.unlink(missing_ok=True)


@contextmanager
def _as_asked(options: Mapping[str, str]) -> Iterator[None]:
    """Within, no variable has sbatch do otherwise than the options say, or take the job for part of another one.

    Of an option in a job's script sbatch takes the variable instead. A variable of no option that is given counts.
    """
    given = {f"SBATCH_{VARIABLES.get(name, name.replace('-', '_').upper())}" for name in options}
    foreign = _of_a_job() if "SLURM_JOB_ID" in os.environ else set()
    hidden = (given | foreign) & os.environ.keys()
    kept = {name: os.environ.pop(name) for name in hidden}
    try:
        yield
    finally:
        os.environ.update(kept)


def _of_a_job() -> set[str]:
    names = {name for name in os.environ if name.startswith(("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_"))}
    return names - KEPT
