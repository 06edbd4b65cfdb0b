"""Whether there is room on the disk for what trainings will write, found before any weight is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

from harness.paths import RunPaths, home
from harness.pipeline.check import Counted
from harness.pipeline.prerequisites import Obstacle
from harness.report.figures import memory
from harness.spec.run import RunSpec

CHECKPOINTS = 3
"""At most so many lie there at once: the trainer keeps two and removes the older one once a third is whole."""
MOMENTS = 2
"""Numbers that AdamW keeps for each trained one, in its type."""
ADAPTER_BYTES = 4
"""Adapters are float32."""
SLACK = 2**20
"""Logs, configurations, tokenizers."""
FULL_BYTES = {"float32": 4}
"""Of a number of a base that is trained as a whole; half as many where its type is not float32."""


def shortages(runs: Sequence[RunSpec], counts: Mapping[str, Counted]) -> dict[str, Obstacle]:
    """The first run, in order, for which there won't be room, with what is needed and what is free.

    Counted are the adapters of all trainings up to it and its own checkpoints with AdamW's state: an estimate from
    above for another optimizer. Runs whose method can't be counted on its own are taken for nothing.
    """
    needed, free = SLACK, shutil.disk_usage(_existing()).free
    seen: set[str] = set()
    for run in runs:
        if run.train_id in seen or not _is_trained(run):
            continue
        seen.add(run.train_id)
        size = (counts[run.run_id].trainable_params or 0) * _width(run)
        needed += size if run.adapter.trains == "adapter" or run.keep else 0
        most = needed + CHECKPOINTS * size * (1 + MOMENTS)
        if most > free:
            told = f"checkpoints and adapters need about {memory(most)} under {home()}, {memory(free)} are free"
            return {run.run_id: Obstacle("train", f"{told}; make room or point $HARNESS_HOME elsewhere")}
    return {}


def _is_trained(run: RunSpec) -> bool:
    return run.adapter.trains != "nothing" and not RunPaths(home(), run.train_id, run.run_id).adapter.is_dir()


def _width(run: RunSpec) -> int:
    return ADAPTER_BYTES if run.adapter.trains == "adapter" else FULL_BYTES.get(run.model.dtype, ADAPTER_BYTES // 2)


def _existing() -> str:
    folder = home()
    return str(next(parent for parent in (folder, *folder.parents) if parent.exists()))
