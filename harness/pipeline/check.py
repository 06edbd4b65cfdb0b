"""Whether a method fits its model, found on the meta device before any weight is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from harness.catalog.models import model_entry
from harness.errors import RunError
from harness.pipeline.classes import class_faults, hushed, told
from harness.spec.identity import canonical
from harness.spec.run import RunSpec

ALL_ROLES = frozenset({"identity"})


@dataclass(frozen=True)
class Counted:
    """A run's parameters, or why they can't be: `problem` blocks the run."""

    trainable_params: int | None = None
    base_params: int | None = None
    trainable_percent: float | None = None
    problem: str | None = None


def count(runs: Sequence[RunSpec]) -> dict[str, Counted]:
    """The parameters of each run by run_id, each method on each architecture counted once."""
    known: dict[str, Counted] = {}
    with hushed():
        return {run.run_id: known.setdefault(_shape(run), _counted(run, known)) for run in runs}


def _shape(run: RunSpec) -> str:
    return json.dumps([run.model.content, run.model.name, canonical(run.adapter, ALL_ROLES)], sort_keys=True)


def _counted(run: RunSpec, known: dict[str, Counted]) -> Counted:
    if (shape := _shape(run)) in known:
        return known[shape]
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
