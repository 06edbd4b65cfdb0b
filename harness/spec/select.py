"""What is wrong with `select`: the fields that it tunes, their values, and what choosing needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from harness.adapters.method import Method
from harness.errors import Problem, first, nearest
from harness.located import Located, Path_
from harness.spec.fields import IDENTITY
from harness.spec.identity import field_class
from harness.spec.matrix import AXES, params_of, repeated_axes, shape_problems, value_problems
from harness.spec.run import TrainSettings
from harness.spec.schema import SelectSpec

OVER: Path_ = ("select", "over")
UNLIKE = {"train.max_length", "train.loss_on"}
"""Hyper-parameters that change what the loss on the validation examples is of."""
TUNABLE = {
    f"train.{name}" for name in TrainSettings.model_fields if field_class(TrainSettings, name) == IDENTITY
} - UNLIKE


def select_problems(located: Located, methods: Sequence[Method]) -> list[Problem]:
    """What is wrong with `select`, as far as it can be said without expanding. `methods`: those of the adapters."""
    select = located.data.get("select")
    if not isinstance(select, dict):
        return []
    return _over_problems(select.get("over"), located, methods) + _seed_problems(select, located)


def _over_problems(over: Any, located: Located, methods: Sequence[Method]) -> list[Problem]:
    if not isinstance(over, dict):
        return []  # the schema says so
    allowed = TUNABLE | params_of(methods)
    found = first(_axis_problems(over, located, allowed)) + repeated_axes(over, located, OVER)
    return found or first(value_problems(over, located, methods, OVER))


def _axis_problems(over: dict[str, Any], located: Located, allowed: set[str]) -> Iterator[Problem]:
    crossed = _fields(located.data.get("matrix"))
    for key, values in over.items():
        if key == "exclude":
            yield located.problem((*OVER, key), "belongs to matrix, whose rules also take out points that are tuned")
            continue
        unfit = [(place, message) for place, name in _places(key, values) if (message := _unfit(name, crossed))]
        yield from (located.problem(place, message) for place, message in unfit)
        if not unfit and key != "zip" and key not in allowed and not key.startswith("adapter."):
            yield located.problem((*OVER, key), f"unknown field, {nearest(key, allowed | {'zip'})}")
        elif not unfit:
            yield from shape_problems(key, values, located, allowed, OVER)


def _places(key: str, values: Any) -> Iterator[tuple[Path_, str]]:
    """The fields of an axis, or of the groups of `zip`, each with its place."""
    if key != "zip":
        yield (*OVER, key), key
    elif isinstance(values, list):
        groups = ((at, group) for at, group in enumerate(values) if isinstance(group, dict))
        yield from (((*OVER, key, at, name), name) for at, group in groups for name in group)


def _unfit(name: str, crossed: set[str]) -> str | None:
    """Why a field that exists can't be tuned."""
    if name in crossed:
        return "is an axis of the matrix already"
    if name in ("train.micro_batch_size", "train.gradient_checkpointing"):
        return "changes no result: there is nothing to choose"
    if name in AXES - TUNABLE:
        return "can't be tuned: its points would not be measured alike; make it an axis of the matrix"
    return None


def _fields(matrix: Any) -> set[str]:
    if not isinstance(matrix, dict):
        return set()
    groups = matrix.get("zip") if isinstance(matrix.get("zip"), list) else []
    return set(matrix) | {name for group in groups if isinstance(group, dict) for name in group}


def _seed_problems(select: dict[str, Any], located: Located) -> list[Problem]:
    """Seeds that would choose a point and then speak for it: the choice favours those with which it was lucky."""
    seeds, own = select.get("seeds", SelectSpec.model_fields["seeds"].default), located.data.get("seeds", [0])
    if not isinstance(seeds, list) or not isinstance(own, list):
        return []
    message = "is one of the experiment's seeds: it would choose what it is to judge; take another"
    places = {("select", "seeds", at): seed for at, seed in enumerate(seeds) if seed in own}
    return [located.problem(place, f"{seed} {message}") for place, seed in places.items()]
