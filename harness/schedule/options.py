"""How an experiment is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EXECUTORS = ("local", "in-process", "ray", "slurm")
CLUSTERS = ("ray", "slurm")
"""Executors that do runs on other machines than this."""


@dataclass(frozen=True)
class Options:
    """How an experiment is run.

    only: a pattern (`*`, `?`) over labels and run ids; retry_failed: also what failed before; fail_fast: no
    new run after a failure; timeout: seconds that a run may take (see `loop.Loop`);
    workers: runs at once: processes of the local executor, in all, or jobs on a cluster; runs_per_device: of them for
    each GPU, or in all where there is none. By default there is one per GPU, or one; slurm: names and values of
    sbatch's options.
    """

    executor: Literal["local", "in-process", "ray", "slurm"] = "local"
    workers: int | None = None
    runs_per_device: int | None = None
    only: str | None = None
    retry_failed: bool = False
    fail_fast: bool = False
    timeout: float | None = None
    slurm: tuple[tuple[str, str], ...] = ()

    @property
    def elsewhere(self) -> bool:
        """Whether runs are done on other machines."""
        return self.executor in CLUSTERS
