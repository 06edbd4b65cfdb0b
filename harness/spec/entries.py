"""The entries of `adapters`: what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.adapters.catalogue import Catalogue
from harness.adapters.method import Method
from harness.adapters.param import check_param
from harness.adapters.params import joint_problems
from harness.errors import NotFoundError, Problem, SpecError, nearest
from harness.located import Located, Mark, Path_
from harness.spec.mixtures import MIXABLE, can_be_mixed
from harness.spec.problems import problems_of
from harness.spec.schema import TrainSpec

ENTRY_FIELDS = {"label", "train"}


def entry_problems(entry: Any, index: int, located: Located, methods: Catalogue) -> list[Problem]:
    """Every problem of one entry: `{method, <params>, label, train}` or `{mixed: [entries], label, train}`."""
    place: Path_ = ("adapters", index)
    if not isinstance(entry, dict):
        return []  # the schema says so
    problems = _label_problems(entry, place, located) + _train_problems(entry, place, located)
    if "mixed" in entry:
        return problems + _mixed_problems(entry, place, located, methods)
    return problems + _method_problems(entry, place, located, methods, ENTRY_FIELDS)


def _label_problems(entry: dict[str, Any], place: Path_, located: Located) -> list[Problem]:
    label = entry.get("label", "")
    if isinstance(label, str) and "\n" not in label:
        return []
    kind = "one line" if isinstance(label, str) else "a text"
    return [located.problem((*place, "label"), f"must be {kind}, got {label!r}")]


def _train_problems(entry: dict[str, Any], place: Path_, located: Located) -> list[Problem]:
    train = entry.get("train")
    if train is None:
        return []
    if not isinstance(train, dict):
        return [located.problem((*place, "train"), f"must be a mapping, got {train!r}")]
    return field_problems(TrainSpec, located, (*place, "train"), train)


def field_problems(model: type[BaseModel], located: Located, place: Path_, values: dict[str, Any]) -> list[Problem]:
    """What is wrong with some of a mapping's fields, each by itself; what they are together is not looked at."""
    required = {name: "-" for name, field in model.model_fields.items() if field.is_required()}
    try:
        model.model_validate(required | values)
    except ValidationError as error:
        if alone := [complaint for complaint in error.errors() if complaint["type"] != "in_field"]:
            return problems_of(alone, located, model, place)
    return []


def _mixed_problems(entry: dict[str, Any], place: Path_, located: Located, methods: Catalogue) -> list[Problem]:
    unknown = entry.keys() - {"mixed", *ENTRY_FIELDS}
    problems = [
        located.problem((*place, key), f"is no field of a mixture, {nearest(key, {'mixed', *ENTRY_FIELDS})}")
        for key in unknown
    ]
    parts = entry["mixed"]
    if not isinstance(parts, list) or len(parts) < 2:
        problems.append(located.problem((*place, "mixed"), f"must be a list of two or more adapters, got {parts!r}"))
    for number, part in enumerate(parts if isinstance(parts, list) else ()):
        here = (*place, "mixed", number)
        if not isinstance(part, dict):
            problems.append(located.problem(here, f"must be a mapping with a method, got {part!r}"))
        else:
            problems += _method_problems(part, here, located, methods, set())
            problems += _part_problems(part, here, located, methods)
    return problems


def _part_problems(part: dict[str, Any], place: Path_, located: Located, methods: Catalogue) -> list[Problem]:
    """Methods that can't be a part."""
    method = methods.methods.get(str(part.get("method")))
    if method is None or can_be_mixed(method):
        return []
    return [located.problem((*place, "method"), f"{method.method} can't be mixed with others; mix {MIXABLE}")]


def _method_problems(
    entry: dict[str, Any], place: Path_, located: Located, methods: Catalogue, extra: set[str]
) -> list[Problem]:
    name = entry.get("method")
    if not isinstance(name, str):
        return [
            located.problem((*place, "method"), "is required" if name is None else f"must be a text, got {name!r}")
        ]
    try:
        method = methods.method(name)
    except NotFoundError as error:
        return [located.problem((*place, "method"), str(error))]
    except SpecError as error:
        return list(error.problems)
    values = {key: value for key, value in entry.items() if key not in {"method", *extra}}
    found = [
        problem
        for key, value in values.items()
        if (problem := _value_problem(method, key, value, place, located, extra))
    ]
    bad = {
        name for name in values if located.problem((*place, name), "").field in {problem.field for problem in found}
    }
    good = {name: value for name, value in values.items() if name in method.params and name not in bad}
    wrong = joint_problems(method, good, bad)
    found += [located.problem((*place, key), message) for key, message in wrong.items()]
    return found + method_file_problems(method)


def method_file_problems(method: Method) -> list[Problem]:
    """What is wrong with the hyper-parameters that a method's own file sets."""
    marks = {("train", key): Mark(method.file, line) for key, line in method.lines.items()}
    return field_problems(TrainSpec, Located({"train": method.train}, marks), ("train",), method.train)


def _value_problem(
    method: Method, key: str, value: Any, place: Path_, located: Located, extra: set[str]
) -> Problem | None:
    if key not in method.params:
        if key in ENTRY_FIELDS - extra:
            return located.problem((*place, key), "belongs beside `mixed`, not to a part of it")
        allowed = {*method.params, *extra, "method"}
        return located.problem((*place, key), f"{method.method} has no such parameter, {nearest(key, allowed)}")
    message = check_param(method.params[key], value, method.params)
    return located.problem((*place, key), message) if message else None


def methods_of(entries: Iterable[Any], methods: Catalogue) -> list[Method]:
    """The methods that the entries and the parts of mixtures name, as far as they are known."""
    parts = [part for entry in entries if isinstance(entry, dict) for part in parts_of(entry)]
    names = dict.fromkeys(str(part.get("method")) for part in parts if isinstance(part, dict))
    return [methods.methods[name] for name in names if name in methods.methods]


def parts_of(entry: dict[str, Any]) -> list[Any]:
    """The entry itself, or the adapters that it mixes."""
    if "mixed" not in entry:
        return [entry]
    return entry["mixed"] if isinstance(entry["mixed"], list) else []
