"""Hyper-parameters that are good each by itself and don't go together, in a file that has other problems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from harness.errors import Problem, closest
from harness.located import Located
from harness.spec.matrix import Assignment, assignments_of, count_assignments, without
from harness.spec.merge import merge
from harness.spec.schema import TrainSpec

JUDGED_TOGETHER = (("epochs", "steps"), ("batch_size", "micro_batch_size"))
MOST_COMBINATIONS = 1000
"""Of more, what is wrong with them is told once the other problems are mended."""


def together_problems(located: Located, overrides: Located, told: Sequence[Problem]) -> list[Problem]:
    """What the expansion would tell of `train` and its axes; nothing that a value in `told` may be the cause of."""
    train = located.data.get("train", {})
    if not isinstance(train, dict):
        return []
    fields = {problem.field for problem in told}
    doubtful = _doubtful(train, fields)
    good = {key: value for key, value in train.items() if key not in doubtful}
    found: dict[str, str] = dict(_faults(good))
    problems = [located.problem(("train", name), message) for name, message in found.items()]
    axes = _axes(located.data.get("matrix"), told)
    if count_assignments(axes) > MOST_COMBINATIONS:
        return problems
    forced = overrides.data.get("train") or {}
    own = {key: value for key, value in good.items() if key not in found}
    for assignment in assignments_of(axes) if axes else ():
        problems += _axis_problems(located, (own, _of(assignment), forced), assignment, doubtful)
    return list(dict.fromkeys(problems))


def _doubtful(train: dict[str, Any], told: set[str]) -> set[str]:
    """The fields that have a problem, those that are meant by unknown ones, and what is judged together with them."""
    wrong = {name for name in train if any(f"{field}.".startswith(f"train.{name}.") for field in told)}
    known = TrainSpec.model_fields
    meant = {closest(name, known) for name in wrong - known.keys()}
    doubtful = wrong | {name for name in meant if name}
    return doubtful.union(*(group for group in JUDGED_TOGETHER if doubtful.intersection(group)))


def _faults(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with good values together, each at one field, as if that field were then taken out."""
    left = dict(values)
    while fault := _fault(left):
        yield fault
        del left[fault[0]]


def _fault(values: dict[str, Any]) -> tuple[str, str] | None:
    try:
        TrainSpec.model_validate(values)
    except ValidationError as error:
        found = [complaint["ctx"] for complaint in error.errors() if complaint["type"] == "in_field"]
        return next(((context["field"], context["message"]) for context in found if context["field"] in values), None)
    return None


def _axes(matrix: Any, told: Sequence[Problem]) -> dict[str, Any]:
    """The matrix's axes of `train`, as far as nothing is wrong with them, and what is zipped."""
    if not isinstance(matrix, dict):
        return {}
    good = without(matrix, told)
    return {key: values for key, values in good.items() if key == "zip" or key.startswith("train.")}


def _of(assignment: Assignment) -> dict[str, Any]:
    return {key.removeprefix("train."): choice.value for key, choice in assignment.items() if key.startswith("train.")}


def _axis_problems(
    located: Located, layers: tuple[dict[str, Any], ...], assignment: Assignment, doubtful: set[str]
) -> Iterator[Problem]:
    merged = merge(*(Located({"train": dict(layer)}, {}) for layer in layers)).data["train"]
    known = {key: value for key, value in merged.items() if key not in doubtful}
    for name, message in _faults(known):
        if f"train.{name}" in assignment:
            yield located.problem(assignment[f"train.{name}"].place, message)
