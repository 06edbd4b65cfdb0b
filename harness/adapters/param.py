"""One parameter of a method: what an experiment may set it to."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any

from harness.catalog.architectures import is_letters
from harness.errors import nearest

ALL_LINEAR = "all-linear"
MULTIPLE = re.compile(r"^((?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)?\s*(?:\*\s*)?([a-z_]\w*)$")
STEPS = "steps"
"""`0.1steps` is a share of the run's optimizer steps; it is resolved where they are known, at training."""
POSITIVE = ("r", "alpha")
"""Parameters that are above zero in every method, and no share of the steps."""
HUGE = 2**31
"""No count of a model's is so large."""


@dataclass(frozen=True)
class Param:
    """What an experiment may set: its default, its type (the default's; `any` for null), and its bounds.

    follows: the parameter whose value it has while its own is null; that value must then be one of its choices.
    """

    name: str
    default: Any
    type: str
    min: float | None = None
    max: float | None = None
    choices: tuple[Any, ...] = ()
    help: str = ""
    follows: str | None = None


def check_param(param: Param, value: Any, others: dict[str, Param]) -> str | None:
    """What is wrong with a parameter's value, in words that follow its name; None if nothing is."""
    if param.default is None and value is None:
        return None
    if param.default is None and param.type == "any":
        return check_bounds(param, value)
    if _is_multiple(value, param, others):
        return None
    if param.name == "targets":
        return _check_targets(value)
    if not _has_type(value, param.type):
        multiple = " or a multiple such as 2r" if "r" in others and isinstance(value, str) else ""
        return f"must be {_article(param.type)}{multiple}, got {value!r}"
    return check_bounds(param, value)


def _is_multiple(value: Any, param: Param, others: dict[str, Param]) -> bool:
    """Whether `value` is a number times another parameter or the steps, as in `2r` and `0.1steps`."""
    match = MULTIPLE.match(value) if isinstance(value, str) and param.type in ("int", "float") else None
    if not match or match[2] == param.name:
        return False
    if match[2] == STEPS:
        return param.name not in POSITIVE
    return match[2] in others and others[match[2]].type in ("int", "float")


def _check_targets(value: Any) -> str | None:
    if isinstance(value, str) and value.isalpha() and value.isupper() and not is_letters(value):
        return f"knows the letters Q K V O G U D, got {value!r}"
    if value == ALL_LINEAR or is_letters(value):
        return None
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return None
    return f"must be letters of QKVOGUD, a list of module names, or all-linear, got {value!r}"


def _has_type(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "bool"
    if kind == "float":
        return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
    if kind == "int":
        return isinstance(value, int) and abs(value) < HUGE
    return isinstance(value, {"str": str, "bool": bool, "list": list}[kind])


def _article(kind: str) -> str:
    words = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false", "list": "a list"}
    return words[kind]


def check_bounds(param: Param, value: Any) -> str | None:
    """What is wrong with a value of the right type: its choices, its bounds, an `alpha` that is not positive."""
    if param.choices and value not in param.choices:
        return f"unknown value {value!r}, {nearest(str(value), map(str, param.choices))}"
    if not isinstance(value, (int, float)):
        return None
    if not abs(value) <= sys.float_info.max:
        return f"must be a finite number, got {value!r}"
    if param.name == "alpha" and value <= 0:
        return f"must be above 0, got {value!r}"
    if param.min is not None and value < param.min:
        return f"must be at least {param.min}, got {value!r}"
    if param.max is not None and value > param.max:
        return f"must be at most {param.max}, got {value!r}"
    return None
