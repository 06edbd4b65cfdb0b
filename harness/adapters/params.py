"""A method's parameters as an experiment sets them: checked, resolved, put into the method's arguments."""

from __future__ import annotations

import math
from typing import Any

from harness.adapters.method import MULTIPLE, REFERENCE, STEPS, Method, Param
from harness.catalog.architectures import is_letters, module_names
from harness.errors import nearest

ALL_LINEAR = "all-linear"


def check_param(param: Param, value: Any, others: dict[str, Param]) -> str | None:
    """What is wrong with a parameter's value, in words that follow its name; None if nothing is."""
    if param.default is None and (value is None or param.type == "any"):
        return None
    if _is_multiple(value, param, others):
        return None
    if param.name == "targets":
        return _check_targets(value)
    if not _has_type(value, param.type):
        multiple = " or a multiple such as 2r" if "r" in others and isinstance(value, str) else ""
        return f"must be {_article(param.type)}{multiple}, got {value!r}"
    return _check_bounds(param, value)


def _is_multiple(value: Any, param: Param, others: dict[str, Param]) -> bool:
    """Whether `value` is a number times another parameter or the steps, as in `2r` and `0.1steps`."""
    match = MULTIPLE.match(value) if isinstance(value, str) and param.type in ("int", "float") else None
    if not match or match[2] == param.name:
        return False
    if match[2] == STEPS:
        return True
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
    if kind == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, {"str": str, "bool": bool, "list": list}[kind])


def _article(kind: str) -> str:
    words = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false", "list": "a list"}
    return words[kind]


def multiple_problems(method: Method, given: dict[str, Any]) -> dict[str, str]:
    """What is wrong with the results of multiples (`alpha: 0r`), by parameter.

    Expects values that `check_param` accepts.
    """
    values = resolve_params(method, given)
    found = {}
    for name, value in values.items():
        if value is not given.get(name) and isinstance(value, (int, float)):
            message = _check_bounds(method.params[name], value)
            if message and name in given:
                found[name] = f"{message} from {given[name]!r}"
    return found


def _check_bounds(param: Param, value: Any) -> str | None:
    if isinstance(value, (str, list)) and not param.choices:
        return None
    if param.choices and value not in param.choices:
        return f"unknown value {value!r}, {nearest(str(value), map(str, param.choices))}"
    if param.name == "alpha" and value <= 0:
        return f"must be above 0, got {value!r}"
    if param.min is not None and value < param.min:
        return f"must be at least {param.min}, got {value!r}"
    if param.max is not None and value > param.max:
        return f"must be at most {param.max}, got {value!r}"
    return None


def resolve_params(method: Method, given: dict[str, Any]) -> dict[str, Any]:
    """Every parameter's value: the given one, else the default; multiples of other parameters computed.

    Expects values that `check_param` accepts. Multiples of the steps stay as they are.
    """
    values = {name: given.get(name, param.default) for name, param in method.params.items()}
    return {name: _multiplied(value, method.params[name], values) for name, value in values.items()}


def _multiplied(value: Any, param: Param, values: dict[str, Any]) -> Any:
    match = MULTIPLE.match(value) if isinstance(value, str) and param.type in ("int", "float") else None
    if not match or match[2] == STEPS or not isinstance(values.get(match[2]), (int, float)):
        return value
    product = float(match[1] or 1) * values[match[2]]
    return round(product) if param.type == "int" or product.is_integer() else product


def resolve_config(method: Method, params: dict[str, Any], model_type: str | None) -> dict[str, Any]:
    """The arguments of the method's config class: references filled in, target letters resolved.

    `model_type` None (an architecture not known yet) leaves letters as they are. Raises ValueError where
    the architecture lacks a letter.
    """
    config = {key: _filled(value, params) for key, value in method.config.items()}
    for key, value in config.items():
        if key.endswith("_modules") and is_letters(value) and model_type is not None:
            config[key] = sorted(module_names(value, model_type))
        elif key.endswith("_modules") and isinstance(value, list):
            config[key] = sorted(value)
    return config


def _filled(value: Any, params: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(child, params) for key, child in value.items()}
    if isinstance(value, list):
        return [_filled(child, params) for child in value]
    if not isinstance(value, str):
        return value
    whole = REFERENCE.fullmatch(value)
    return params[whole[1]] if whole else REFERENCE.sub(lambda match: str(params[match[1]]), value)
