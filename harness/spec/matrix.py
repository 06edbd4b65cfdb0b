"""The matrix: values that are crossed (and zipped, and excluded) with all else in an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from harness.errors import Problem, nearest
from harness.located import Located, Path_
from harness.spec.schema import BaseSpec, DataSpec, ScoreSpec, TrainSpec

SECTIONS = {"base": BaseSpec, "data": DataSpec, "train": TrainSpec, "score": ScoreSpec}
AXES = {f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields} | {"prompt"}


@dataclass(frozen=True)
class Choice:
    """One value of one axis, and where it was written."""

    value: Any
    place: Path_


Assignment = dict[str, Choice]


def axis_problems(located: Located, params: set[str]) -> list[Problem]:
    """What is wrong with the matrix's shape. `params`: the parameters of the adapters, for `adapter.x`."""
    matrix = located.data.get("matrix") or {}
    problems = []
    for key, values in matrix.items():
        if key == "zip":
            problems += _zip_problems(values, located, params)
        elif key == "exclude":
            problems += _exclude_problems(values, located, params)
        else:
            problems += _axis_problem(key, values, ("matrix", key), located, params)
    return problems


def _axis_problem(key: str, values: Any, place: Path_, located: Located, params: set[str]) -> list[Problem]:
    allowed = AXES | {f"adapter.{name}" for name in params}
    if key not in allowed:
        if key.startswith("adapter."):
            message = f"no adapter has this parameter, {nearest(key, allowed)}"
        else:
            message = f"unknown field, {nearest(key, allowed | {'zip', 'exclude'})}"
        return [located.problem(place, message)]
    if not isinstance(values, list) or not values:
        return [located.problem(place, f"must be a list of values, got {values!r}")]
    return []


def _zip_problems(groups: Any, located: Located, params: set[str]) -> list[Problem]:
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return [located.problem(("matrix", "zip"), f"must be a list of mappings, got {groups!r}")]
    problems = []
    for index, group in enumerate(groups):
        here: Path_ = ("matrix", "zip", index)
        found = [p for key, values in group.items() for p in _axis_problem(key, values, (*here, key), located, params)]
        lengths = {key: len(values) for key, values in group.items() if isinstance(values, list)}
        if not found and len(set(lengths.values())) > 1:
            found.append(located.problem(here, f"needs lists of one length, got {lengths}"))
        problems += found
    return problems


def _exclude_problems(rules: Any, located: Located, params: set[str]) -> list[Problem]:
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        return [located.problem(("matrix", "exclude"), f"must be a list of mappings, got {rules!r}")]
    allowed = AXES | {f"adapter.{name}" for name in params} | {"adapter.method", "adapter.label", "seed"}
    return [
        located.problem(("matrix", "exclude", index, key), f"unknown field, {nearest(key, allowed)}")
        for index, rule in enumerate(rules)
        for key in rule
        if key not in allowed
    ]


def assignments_of(matrix: dict[str, Any]) -> Iterator[Assignment]:
    """Every combination of the matrix's values, in the order of the file; one empty one without a matrix."""
    axes: list[list[Assignment]] = []
    for key, values in matrix.items():
        if key == "zip":
            axes += [_zipped(group, index) for index, group in enumerate(values)]
        elif key != "exclude":
            axes.append([{key: Choice(value, ("matrix", key, at))} for at, value in enumerate(values)])
    for combination in product(*axes):
        yield {key: choice for part in combination for key, choice in part.items()}


def _zipped(group: dict[str, list[Any]], index: int) -> list[Assignment]:
    length = len(next(iter(group.values()), []))
    return [
        {key: Choice(values[at], ("matrix", "zip", index, key, at)) for key, values in group.items()}
        for at in range(length)
    ]


def excluded(facts: dict[str, Any], matrix: dict[str, Any]) -> bool:
    """Whether a rule of `exclude` matches all the facts that it names."""
    return any(
        all(key in facts and facts[key] == value for key, value in rule.items()) for rule in matrix.get("exclude") or []
    )
