"""The parameters that a method's file declares."""

from __future__ import annotations

from typing import Any

from harness.adapters.param import MULTIPLE, STEPS, Param, check_param
from harness.errors import Problem, nearest
from harness.located import Located

PARAM_FIELDS = {"default", "min", "max", "choices", "type", "help", "follows"}
TYPES = ("int", "float", "str", "bool", "list")
RESERVED = {"method", "label", "train", "mixed"}


def declared_params(located: Located, problems: list[Problem]) -> dict[str, Param]:
    raw = located.data.get("params")
    if not isinstance(raw, dict):
        return {}
    return {name: _param(name, value, set(raw), located, problems) for name, value in raw.items()}


def default_problems(params: dict[str, Param], located: Located) -> list[Problem]:
    """Defaults that an experiment could not set."""
    wrong = {name: check_param(param, param.default, params) for name, param in params.items()}
    return [
        located.problem(_default_at(name, located), f"default {message}") for name, message in wrong.items() if message
    ]


def _default_at(name: str, located: Located) -> tuple[str, ...]:
    place = ("params", name, "default")
    return place if place in located.marks else place[:-1]


def _param(name: str, value: Any, names: set[str], located: Located, problems: list[Problem]) -> Param:
    fields = value if isinstance(value, dict) else {"default": value}
    problems += _param_problems(name, fields, located) + _follows_problems(name, fields, names, located)
    default = fields.get("default")
    low, high = (bound if _is_number(bound := fields.get(key)) else None for key in ("min", "max"))
    choices = fields.get("choices")
    return Param(
        name=name,
        default=default,
        type=fields.get("type") or _type_of(default, names),
        min=max(1, low or 1) if name == "r" else low,
        max=high,
        choices=tuple(choices) if isinstance(choices, list) else (),
        help=str(fields.get("help") or ""),
        follows=fields.get("follows"),
    )


def _param_problems(name: str, fields: dict[str, Any], located: Located) -> list[Problem]:
    place, kind = ("params", name), fields.get("type")
    problems = [located.problem(place, "is a field of every adapter: call it otherwise")] if name in RESERVED else []
    problems += [
        located.problem((*place, key), f"unknown field, {nearest(key, PARAM_FIELDS)}")
        for key in fields
        if key not in PARAM_FIELDS
    ]
    if "default" not in fields:
        problems.append(located.problem(place, "needs a default"))
    if kind is not None and kind not in TYPES:
        problems.append(located.problem((*place, "type"), f"unknown type {kind!r}, {nearest(kind, TYPES)}"))
    for key in ("min", "max"):
        if fields.get(key) is not None and not _is_number(fields[key]):
            problems.append(located.problem((*place, key), f"must be a number, got {fields[key]!r}"))
    low, high = fields.get("min"), fields.get("max")
    if _is_number(low) and _is_number(high) and low > high:
        problems.append(located.problem((*place, "min"), f"must be at most max {high}, got {low}"))
    if fields.get("choices") is not None and not isinstance(fields["choices"], list):
        problems.append(located.problem((*place, "choices"), f"must be a list, got {fields['choices']!r}"))
    return problems


def _follows_problems(name: str, fields: dict[str, Any], names: set[str], located: Located) -> list[Problem]:
    followed, place = fields.get("follows"), ("params", name, "follows")
    if followed is None:
        return []
    if not isinstance(followed, str) or followed not in names - {name}:
        return [
            located.problem(place, f"{followed!r} is no other parameter, {nearest(str(followed), names - {name})}")
        ]
    if fields.get("default") is not None or not fields.get("choices"):
        return [located.problem(place, "needs choices, and null as the default")]
    return []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _type_of(default: Any, names: set[str]) -> str:
    """The default's type; a number times another parameter (`2r`) or the steps (`0.1steps`) is a number."""
    match = MULTIPLE.match(default) if isinstance(default, str) else None
    if match and match[1] and match[2] in {*names, STEPS}:
        return "float"
    if default is None:
        return "any"
    return {bool: "bool", int: "int", float: "float", list: "list"}.get(type(default), "str")
