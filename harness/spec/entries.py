"""The entries of `adapters`: what is wrong with them."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from harness.adapters.catalogue import Catalogue
from harness.adapters.method import Method
from harness.adapters.params import check_param
from harness.errors import NotFoundError, Problem, SpecError, nearest
from harness.located import Located, Path_
from harness.spec.problems import problems_of
from harness.spec.schema import TrainSpec

ENTRY_FIELDS = {"label", "train"}


def entry_problems(entry: Any, index: int, located: Located, methods: Catalogue) -> list[Problem]:
    """Every problem of one entry: `{method, <params>, label, train}` or `{mixed: [entries], label, train}`."""
    place: Path_ = ("adapters", index)
    if not isinstance(entry, dict):
        return [located.problem(place, f"must be a mapping with a method, got {entry!r}")]
    problems = _label_problems(entry, place, located) + _train_problems(entry, place, located)
    if "mixed" in entry:
        return problems + _mixed_problems(entry, place, located, methods)
    return problems + _method_problems(entry, place, located, methods, ENTRY_FIELDS)


def _label_problems(entry: dict[str, Any], place: Path_, located: Located) -> list[Problem]:
    label = entry.get("label", "")
    return [] if isinstance(label, str) else [located.problem((*place, "label"), f"must be a text, got {label!r}")]


def _train_problems(entry: dict[str, Any], place: Path_, located: Located) -> list[Problem]:
    train = entry.get("train")
    if train is None:
        return []
    if not isinstance(train, dict):
        return [located.problem((*place, "train"), f"must be a mapping, got {train!r}")]
    try:
        TrainSpec.model_validate(train)
    except ValidationError as error:
        return problems_of(error, located, TrainSpec, (*place, "train"))
    return []


def _mixed_problems(entry: dict[str, Any], place: Path_, located: Located, methods: Catalogue) -> list[Problem]:
    unknown = entry.keys() - {"mixed", *ENTRY_FIELDS}
    problems = [
        located.problem((*place, key), f"unknown field, {nearest(key, {'mixed', *ENTRY_FIELDS})}") for key in unknown
    ]
    parts = entry["mixed"]
    if not isinstance(parts, list) or len(parts) < 2:
        return [*problems, located.problem((*place, "mixed"), f"must be a list of two or more adapters, got {parts!r}")]
    for number, part in enumerate(parts):
        here = (*place, "mixed", number)
        if not isinstance(part, dict):
            problems.append(located.problem(here, f"must be a mapping with a method, got {part!r}"))
        else:
            problems += _method_problems(part, here, located, methods, set())
    return problems


def _method_problems(
    entry: dict[str, Any], place: Path_, located: Located, methods: Catalogue, extra: set[str]
) -> list[Problem]:
    name = entry.get("method")
    if not isinstance(name, str):
        return [located.problem((*place, "method"), "is required" if name is None else f"must be a text, got {name!r}")]
    try:
        method = methods.method(name)
    except NotFoundError as error:
        return [located.problem((*place, "method"), str(error))]
    except SpecError as error:
        return list(error.problems)
    values = {key: value for key, value in entry.items() if key not in {"method", *extra}}
    return [problem for key, value in values.items() if (problem := _value_problem(method, key, value, place, located))]


def _value_problem(method: Method, key: str, value: Any, place: Path_, located: Located) -> Problem | None:
    if key not in method.params:
        allowed = {*method.params, *ENTRY_FIELDS, "method"}
        return located.problem((*place, key), f"{method.method} has no such parameter, {nearest(key, allowed)}")
    message = check_param(method.params[key], value, method.params)
    return located.problem((*place, key), message) if message else None
