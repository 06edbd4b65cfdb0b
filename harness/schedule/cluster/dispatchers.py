"""Which cluster runs are given to."""

from __future__ import annotations

from harness.schedule.cluster.job import Dispatcher
from harness.schedule.machine import Machine
from harness.schedule.options import Options
from harness.spec.run import RunSpec


def dispatcher(options: Options, runs: dict[str, RunSpec]) -> Dispatcher | None:
    """The cluster that the options name; None where runs are done on this machine.

    runs: those that are given to it, by run_id; may grow. Raises PrerequisiteError where there is no such cluster.
    """
    if options.executor == "slurm":
        from harness.schedule.cluster.slurm import SlurmJobs

        return SlurmJobs(dict(options.slurm), options.workers)
    if options.executor == "ray":
        from harness.schedule.cluster.ray import RayJobs

        machine, share = Machine.here(), options.runs_per_device or 1
        return RayJobs(lambda run_id: machine.threads(runs[run_id].model), options.workers, share)
    return None
