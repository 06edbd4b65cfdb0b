"""Whether a method fits its model, found on the meta device before any weight is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version

from harness.catalog.models import model_entry
from harness.errors import RunError
from harness.paths import PACKAGE
from harness.pipeline.classes import class_faults, hushed, told
from harness.pipeline.code import OURS, classes_of
from harness.pipeline.estimate.kept import Kept
from harness.spec.identity import canonical
from harness.spec.run import RunSpec

ALL_ROLES = frozenset({"identity"})
HELD_TO = "names that the model lacks"
"""What a kept count was checked against; counts of a version that didn't check it are made again."""


@dataclass(frozen=True)
class Counted:
    """A run's parameters, or why they can't be: `problem` blocks the run."""

    trainable_params: int | None = None
    base_params: int | None = None
    trainable_percent: float | None = None
    problem: str | None = None


def count(runs: Sequence[RunSpec]) -> dict[str, Counted]:
    """The parameters of each run by run_id, each method on each architecture counted once.

    Counts of PEFT's methods and ours are kept for later commands, which may have no other versions of the packages.
    """
    kept, found = Kept("counts"), dict[str, Counted]()
    objects, shapes = dict[tuple[int, int], str](), dict[str, Counted]()
    for run in runs:
        same = id(run.model), id(run.adapter)
        shape = objects.get(same) or objects.setdefault(same, _shape(run))
        if shape not in shapes:
            shapes[shape] = _remembered(run, shape, kept)
        found[run.run_id] = shapes[shape]
    kept.save()
    return found


def _shape(run: RunSpec) -> str:
    return json.dumps([run.model.content, run.model.name, canonical(run.adapter, ALL_ROLES)], sort_keys=True)


def _remembered(run: RunSpec, shape: str, kept: Kept) -> Counted:
    """The count from an earlier command, where what determines it can't have changed since."""
    key = [HELD_TO, shape, run.model.dtype, run.model.quantization, versions()]
    fixed = all(name.startswith(OURS) for name in classes_of(run.adapter)) and run.adapter.loads is None
    if fixed and (known := kept.get(key)) is not None:
        return Counted(**known)
    with hushed():
        counted = _counted(run)
    if fixed and counted.problem is None and counted.trainable_params is not None:
        kept.put(key, asdict(counted))
    return counted


@cache
def versions() -> list[str | int]:
    """Of the packages that decide how many parameters a method has, and when our tuners were last changed."""
    changed = max(path.stat().st_mtime_ns for path in (PACKAGE / "tuners").rglob("*.py"))
    return [*(version(name) for name in ("torch", "transformers", "peft")), changed]


def _counted(run: RunSpec) -> Counted:
    if faults := [message for _, message in class_faults(run.adapter)]:
        return Counted(problem="; ".join(faults))
    if run.model.api is not None:
        return Counted(0, None, 0.0)
    config = model_entry(run.model.name, run.model.revision).config
    if config is None:
        return Counted()
    from harness.train.adapter import Uncountable, count_parameters

    try:
        found = count_parameters(config, run.adapter)
    except Uncountable as error:
        return Counted(base_params=error.base)
    except RunError as error:
        return Counted(problem=_first_line(str(error)))
    except Exception as error:  # noqa: BLE001 - a method's or a configuration's own code
        return Counted(problem=f"{run.adapter.method} on {run.model.name}: {told(error)}")
    return Counted(found.trainable, found.base, found.percent)


def _first_line(message: str) -> str:
    """A message without the trace that some libraries append to it."""
    return message.strip().partition("\n")[0]
