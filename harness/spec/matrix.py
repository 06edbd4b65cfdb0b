"""The matrix: values that are crossed (and zipped, and excluded) with all else in an experiment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from harness.adapters.method import Method
from harness.adapters.param import check_param
from harness.errors import Problem, first, nearest
from harness.located import Located, Path_, dotted
from harness.spec.entries import field_problems
from harness.spec.names import NAMES, unknown_name
from harness.spec.schema import BaseSpec, DataSpec, ScoreSpec, TrainSpec
from harness.spec.served import is_served

SECTIONS = {"base": BaseSpec, "data": DataSpec, "train": TrainSpec, "score": ScoreSpec}
MATRIX: Path_ = ("matrix",)
MOST_RULES = 200
"""More rules of `exclude` are refused: each is tried on every point."""
FACTS = ("adapter.method", "adapter.label", "seed")
"""What rules of `exclude` may name beside the axes."""
AXES = {f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields} | {"prompt"}


@dataclass(frozen=True)
class Choice:
    """One value of one axis, and where it was written."""

    value: Any
    place: Path_


Assignment = dict[str, Choice]


def axis_problems(located: Located, methods: Sequence[Method], known: Iterable[str] = ()) -> list[Problem]:
    """What is wrong with the matrix: its fields, its shape, each of its values.

    methods: those of the adapters; known: the names of all methods that there are.
    """
    matrix = located.data.get("matrix")
    if not isinstance(matrix, dict):
        return []
    allowed = AXES | params_of(methods)
    problems = first(_shape_problems(matrix, located, allowed)) + repeated_axes(matrix, located)
    problems += first(_rule_problems(matrix.get("exclude"), located, {*known, *_named(located)}))
    return problems + first(value_problems(without(matrix, problems), located, methods))


def without(axes: dict[str, Any], problems: Sequence[Problem], under: Path_ = MATRIX) -> dict[str, Any]:
    """The axes that none of the problems is about."""
    told = {problem.field for problem in problems}
    return {key: values for key, values in axes.items() if not any(f.startswith(dotted((*under, key))) for f in told)}


def params_of(methods: Iterable[Method]) -> set[str]:
    """The fields that set a parameter of these methods: `adapter.r`."""
    return {f"adapter.{name}" for method in methods for name in method.params}


def _shape_problems(matrix: dict[str, Any], located: Located, allowed: set[str]) -> Iterator[Problem]:
    for key, values in matrix.items():
        if key == "exclude":
            yield from _exclude_problems(values, located, allowed)
        else:
            yield from shape_problems(key, values, located, allowed)


def shape_problems(
    key: str, values: Any, located: Located, allowed: set[str], under: Path_ = MATRIX
) -> Iterator[Problem]:
    """What is wrong with the shape of one axis, or of `zip`. `under`: the mapping that holds it."""
    if key == "zip":
        yield from _zip_problems(values, located, allowed, (*under, key))
    else:
        yield from _axis_problem(key, values, (*under, key), located, allowed)


def repeated_axes(matrix: dict[str, Any], located: Located, under: Path_ = MATRIX) -> list[Problem]:
    """A field can't be two axes: the later one would silently win."""
    groups = matrix.get("zip")
    problems, seen = [], set(matrix)
    for index, group in enumerate(groups if isinstance(groups, list) else ()):
        keys = set(group) if isinstance(group, dict) else set()
        problems += [located.problem((*under, "zip", index, key), "is an axis already") for key in sorted(keys & seen)]
        seen |= keys
    return problems


def value_problems(
    matrix: dict[str, Any], located: Located, methods: Sequence[Method], under: Path_ = MATRIX
) -> Iterator[Problem]:
    """What is wrong with the values of well-shaped axes."""
    axes = [((*under, key), key, values) for key, values in matrix.items() if key not in ("zip", "exclude")]
    for number, group in enumerate(matrix.get("zip") or ()):
        axes += [((*under, "zip", number, key), key, values) for key, values in group.items()]
    return (
        located.problem((*place, at), message)
        for place, key, values in axes
        for at, value in enumerate(values)
        if not (key == "base.model" and is_served(located.data))
        for message in _messages(key, value, methods)
    )


def _messages(key: str, value: Any, methods: Sequence[Method]) -> list[str]:
    """What is wrong with one value of an axis."""
    section, _, name = key.partition(".")
    if section == "adapter":
        checks = {m.method: check_param(m.params[name], value, m.params) for m in methods if name in m.params}
        return [f"{message} ({method})" for method, message in checks.items() if message]
    if isinstance(value, str) and key in NAMES:
        return unknown_name(key, value)
    if key == "prompt":
        return [f"must be a text, got {value!r}"]
    alone = Located({section: {name: value}})
    return [problem.message for problem in field_problems(SECTIONS[section], alone, (section,), {name: value})]


def _axis_problem(key: str, values: Any, place: Path_, located: Located, allowed: set[str]) -> list[Problem]:
    if key not in allowed:
        if key.startswith("adapter."):
            message = f"no adapter has this parameter, {nearest(key, allowed)}"
        else:
            message = f"unknown field, {nearest(key, allowed | {'zip', 'exclude'})}"
        return [located.problem(place, message)]
    if not isinstance(values, list) or not values:
        return [located.problem(place, f"must be a list of values, got {values!r}")]
    return []


def _zip_problems(groups: Any, located: Located, allowed: set[str], place: Path_) -> Iterator[Problem]:
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        yield located.problem(place, f"must be a list of mappings, got {groups!r}")
        return
    for index, group in enumerate(groups):
        here: Path_ = (*place, index)
        found = [
            p for key, values in group.items() for p in _axis_problem(key, values, (*here, key), located, allowed)
        ]
        if not group:
            found.append(located.problem(here, "must not be empty"))
        lengths = {key: len(values) for key, values in group.items() if isinstance(values, list)}
        if not found and len(set(lengths.values())) > 1:
            found.append(located.problem(here, f"needs lists of one length, got {lengths}"))
        yield from found


def _exclude_problems(rules: Any, located: Located, axes: set[str]) -> Iterator[Problem]:
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        yield located.problem(("matrix", "exclude"), f"must be a list of mappings, got {rules!r}")
        return
    if len(rules) > MOST_RULES:
        yield located.problem(("matrix", "exclude"), f"must be at most {MOST_RULES} rules, got {len(rules)}")
    allowed = axes | set(FACTS)
    for index, rule in enumerate(rules):
        here: Path_ = ("matrix", "exclude", index)
        if not rule:
            yield located.problem(here, "must not be empty: it would exclude everything")
        for key in rule:
            if key not in allowed:
                yield located.problem((*here, key), f"unknown field, {nearest(key, allowed)}")


def _named(located: Located) -> set[str]:
    """The methods that the adapters are, as `exclude` calls them."""
    adapters = located.data.get("adapters")
    entries = [entry for entry in adapters if isinstance(entry, dict)] if isinstance(adapters, list) else []
    return {"mixed" if "mixed" in entry else str(entry.get("method")) for entry in entries}


def _rule_problems(rules: Any, located: Located, named: set[str]) -> Iterator[Problem]:
    """Methods of rules that no adapter is. Another one that exists may be a profile's, and is no mistake."""
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        name = rule.get("adapter.method") if isinstance(rule, dict) else None
        if name is not None and (not isinstance(name, str) or name not in named):
            place: Path_ = ("matrix", "exclude", index, "adapter.method")
            hint = nearest(str(name), _named(located))
            yield located.problem(place, f"no adapter has the method {name!r}, {hint}")


def assignments_of(matrix: dict[str, Any], under: Path_ = MATRIX) -> Iterator[Assignment]:
    """Every combination of the matrix's values, in the order of the file; one empty one without a matrix."""
    for combination in product(*_axes(matrix, under)):
        yield {key: choice for part in combination for key, choice in part.items()}


def count_assignments(matrix: dict[str, Any]) -> int:
    """How many `assignments_of` yields, without making them."""
    return prod(map(len, _axes(matrix, MATRIX)))


def _axes(matrix: dict[str, Any], under: Path_) -> list[list[Assignment]]:
    axes: list[list[Assignment]] = []
    for key, values in matrix.items():
        if key == "zip":
            axes += [_zipped(group, (*under, key, index)) for index, group in enumerate(values)]
        elif key != "exclude":
            axes.append([{key: Choice(value, (*under, key, at))} for at, value in enumerate(values)])
    return axes


def _zipped(group: dict[str, list[Any]], place: Path_) -> list[Assignment]:
    length = len(next(iter(group.values()), []))
    return [{key: Choice(values[at], (*place, key, at)) for key, values in group.items()} for at in range(length)]


def matching(facts: dict[str, list[Any]], rules: Sequence[dict[str, Any]]) -> list[int]:
    """The rules of `exclude` that match: each value that one names is among the point's."""
    return [
        index for index, rule in enumerate(rules) if all(value in facts.get(key, ()) for key, value in rule.items())
    ]
