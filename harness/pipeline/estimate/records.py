"""What earlier runs say about how fast trainings and tasks are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from pydantic import ValidationError

from harness.spec.run import RunSpec
from harness.store.records import TrainResult
from harness.store.store import Store

MOST = 200
"""Recorded trainings that are looked at, the latest ones."""


@dataclass(frozen=True)
class Trained:
    """A recorded training and what it was."""

    run: RunSpec
    result: TrainResult


@dataclass(frozen=True)
class Records:
    """trained: the latest trainings; pace: seconds an item, by model and task."""

    trained: Sequence[Trained] = ()
    pace: dict[tuple[str, str], float] = field(default_factory=dict)


def recorded(store: Store | None, runs: Sequence[RunSpec], device: str) -> Records:
    """What is recorded of these runs' models on a device."""
    models = sorted({run.model.name for run in runs})
    if store is None or not models:
        return Records()
    found = [Trained(run, record.training) for record in store.runs(store.trained_last(models, MOST))
             if record.training and record.training.provenance.get("device") == device
             and (run := _specified(record.spec))]  # fmt: skip
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    model_of = {each.run.run_id: each.run.model.content for each in found}
    for run_id, task, seconds, items in store.scoring_times(list(model_of)) if found else ():
        if items:
            times[model_of[run_id], task].append(seconds / items)
    return Records(tuple(found), {key: median(values) for key, values in times.items()})


def _specified(spec: dict[str, object]) -> RunSpec | None:
    """The run; None for one that a newer version recorded."""
    try:
        return RunSpec.model_validate(spec)
    except ValidationError:
        return None
