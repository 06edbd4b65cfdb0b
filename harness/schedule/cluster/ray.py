"""A Ray cluster: one task for each run."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from harness.errors import PrerequisiteError
from harness.schedule.cluster.errand import Errand
from harness.schedule.cluster.job import End

PASSED_ON = ("HARNESS_DATA", "HARNESS_CACHE", "HF_HOME", "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "PYTHONPATH")
"""What a worker on another machine would not know: Ray's workers have the environment of `ray start`."""


class RayJobs:
    """See `Dispatcher`. Ray finds its cluster by `$RAY_ADDRESS`, else one that runs here, else it starts one.

    threads: the CPU threads of a run, by its id; it gets at most as many as a machine of the cluster has. places: runs
    at once, by default one for each GPU of the cluster (runs_per_device of them), without GPUs as many as have room.
    Raises PrerequisiteError where Ray or its cluster is missing.
    """

    def __init__(self, threads: Callable[[str], int], places: int | None = None, runs_per_device: int = 1) -> None:
        try:
            import ray
        except ImportError:
            needed = "--executor ray needs the package ray: pip install 'peft-harness[ray]'"
            raise PrerequisiteError(needed) from None
        self._ray, self._threads = ray, threads
        self._started = not ray.is_initialized()
        passed = {name: value for name in PASSED_ON if (value := os.environ.get(name))}
        try:
            if self._started:
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is to be told
                quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "include_dashboard": False}
                ray.init(**quiet, runtime_env={"env_vars": passed})
            resources = ray.cluster_resources()
        except Exception as error:
            raise PrerequisiteError(f"--executor ray: no cluster answers: {error}") from error
        self._share = 1 / runs_per_device if resources.get("GPU", 0) else 0.0
        gpus = int(resources.get("GPU", 0)) * runs_per_device
        self.places = places or gpus or max(1, int(resources.get("CPU", 1)))
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self._widest = max([1, *(int(node.get("CPU", 0)) for node in nodes)])

    def fault(self) -> None:
        """See `Dispatcher.fault`: a task that has no room yet waits."""

    def submit(self, errand: Errand) -> Any:
        """See `Dispatcher.submit`. Ray keeps a process for the next task where it has no GPU."""
        threads = min(self._threads(errand.run_id), self._widest)  # more than any machine has, it would wait for ever
        asked = {"num_cpus": threads, "num_gpus": self._share, "max_retries": 0, "name": f"harness-{errand.run_id}"}
        return self._ray.remote(**asked)(_do).remote(errand, threads)

    def name(self, ticket: Any) -> str:
        """See `Dispatcher.name`."""
        return f"Ray task {ticket.task_id().hex()[:16]}"

    def end(self, ticket: Any) -> End | None:
        """See `Dispatcher.end`."""
        ended, _ = self._ray.wait([ticket], timeout=0)
        if not ended:
            return None
        try:
            self._ray.get(ticket)
        except self._ray.exceptions.OutOfMemoryError:
            return End("oom", "was killed by Ray, memory being short")
        except Exception as error:  # noqa: BLE001 - a task's own and the cluster's
            return End("crashed", f"ended by itself: {str(error).strip().splitlines()[0]}")
        return End("crashed", "ended without a word")

    def knows(self, ticket: Any) -> bool:
        """See `Dispatcher.knows`: Ray tells of every task."""
        return True

    def waits(self, ticket: Any) -> bool:
        """See `Dispatcher.waits`: no task is begun anew, and Ray does not tell of one that is not begun yet."""
        return False

    def recall(self, ticket: Any) -> None:
        """See `Dispatcher.recall`. A task that begins just now is interrupted, and says that it has stopped."""
        self._cancel(ticket, force=False)

    def kill(self, ticket: Any) -> None:
        """See `Dispatcher.kill`."""
        self._cancel(ticket, force=True)

    def _cancel(self, ticket: Any, force: bool) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._ray.cancel(ticket, force=force)

    def forget(self, ticket: Any) -> None:
        """See `Dispatcher.forget`."""

    def close(self) -> None:
        """See `Dispatcher.close`. A cluster that was there before stays."""
        if self._started:
            self._ray.shutdown()


def _do(errand: Errand, cores: int) -> None:
    """What a worker of Ray's does; after a device error it ends, so that no other task is given to it."""
    if not errand(cores=cores):
        os._exit(1)
