"""Where a profile departs from the experiment as the file states it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import SpecError
from harness.spec.experiment import ExperimentSpec
from harness.spec.files import PAPER, find_experiment, read_extended, with_profile

SECTIONS = ("base", "data", "train", "prompt", "score", "seeds", "tasks")


def profile_departures(experiment: ExperimentSpec) -> list[str]:
    """`train.steps: 125 (paper: –)` for every setting in which this profile differs from `paper`."""
    if experiment.profile == PAPER and not experiment.overrides.data:
        return []
    try:
        path = find_experiment(Path(experiment.path))
        paper = with_profile(read_extended(path, []), PAPER, path, []).data
    except SpecError:  # changed since it was loaded
        return []
    ours, theirs = dict(_flat(experiment.located.data)), dict(_flat(paper))
    keys = dict.fromkeys((*theirs, *ours))
    return [
        f"{key}: {ours.get(key, '–')} ({PAPER}: {theirs.get(key, '–')})"
        for key in keys
        if ours.get(key) != theirs.get(key)
    ]


def _flat(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for section in SECTIONS:
        value = data.get(section)
        if isinstance(value, dict):
            yield from ((f"{section}.{key}", child) for key, child in value.items())
        elif value is not None:
            yield section, value
