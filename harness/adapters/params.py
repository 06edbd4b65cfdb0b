"""A method's parameters as an experiment sets them: checked, resolved, put into the method's arguments."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Set
from typing import Any

from harness.adapters.method import Method
from harness.adapters.param import MULTIPLE, STEPS, Param, check_bounds
from harness.adapters.shape import REFERENCE
from harness.catalog.architectures import is_letters, module_names

PLAIN_SHARE = re.compile(rf"\d*\.?\d*{STEPS}")


def joint_problems(method: Method, given: dict[str, Any], bad: Set[str] = frozenset()) -> dict[str, str]:
    """What is wrong with values that are good each by itself, by parameter. Expects what `check_param` accepts.

    bad: the parameters whose values it doesn't accept; what depends on them is not judged.
    """
    wrong = _followed_problems(method, given) | multiple_problems(method, given)
    return {name: message for name, message in wrong.items() if not _depends(name, method, given, bad)}


def _depends(name: str, method: Method, given: Mapping[str, Any], bad: Set[str]) -> bool:
    """Whether a value is a multiple of a bad one, or what one would follow."""
    if any(param.follows == name for other, param in method.params.items() if other in bad):
        return True
    seen = {name}
    while name in method.params:
        name = multiple_of(given.get(name, method.params[name].default), method.params[name]) or ""
        if name in bad:
            return True
        if name in seen:
            return False
        seen.add(name)
    return False


def _followed_problems(method: Method, given: dict[str, Any]) -> dict[str, str]:
    """Values that a parameter which is left null would take over, and may not have."""
    values = {name: given.get(name, param.default) for name, param in method.params.items()}
    found = {}
    for name, param in method.params.items():
        value = values.get(param.follows or "")
        if param.follows and values[name] is None and value not in param.choices:
            allowed = ", ".join(map(str, param.choices))
            found[param.follows] = f"{value!r} can't be {name} too, which follows it: set {name} to one of {allowed}"
    return found


def multiple_problems(method: Method, given: dict[str, Any]) -> dict[str, str]:
    """What is wrong with the results of multiples (`alpha: 0r`), by parameter.

    Expects values that `check_param` accepts.
    """
    values = resolve_params(method, given)
    found = {}
    for name, value in values.items():
        asked = given.get(name)
        multiple = multiple_of(asked, method.params[name])
        if name not in given or multiple == STEPS or (multiple is None and value is asked):
            continue
        if isinstance(value, str):
            found[name] = f"must be a multiple of a number, got {asked!r}"
        elif message := check_bounds(method.params[name], value):
            found[name] = f"{message} from {asked!r}"
    return found


def resolve_params(method: Method, given: dict[str, Any]) -> dict[str, Any]:
    """Every parameter's value: the given one, else the default; multiples of other parameters computed.

    Expects values that `check_param` accepts. Multiples of the steps, and of what they follow themselves, stay; a
    factor that is written in another way than `0.1steps` is written so, which training understands.
    """
    values = {name: given.get(name, param.default) for name, param in method.params.items()}
    return {name: _resolved(name, values, method.params, ()) for name in values}


def multiple_of(value: Any, param: Param) -> str | None:
    """What the value is written as a multiple of; None where it stands for itself."""
    match = MULTIPLE.match(value) if isinstance(value, str) and param.type in ("int", "float") else None
    return match[2] if match else None


def _resolved(name: str, values: Mapping[str, Any], params: Mapping[str, Param], chain: tuple[str, ...]) -> Any:
    value, other = values[name], multiple_of(values[name], params[name])
    if other == STEPS and not PLAIN_SHARE.fullmatch(value):
        return f"{float(_factor(value)):.12f}".rstrip("0").rstrip(".") + STEPS
    if other not in values or other in (*chain, name):
        return value
    factor = _resolved(other, values, params, (*chain, name))
    if not isinstance(factor, (int, float)):
        return value
    product = float(_factor(value)) * factor
    whole = math.isfinite(product) and (params[name].type == "int" or product.is_integer())
    return round(product) if whole else product


def _factor(value: str) -> str:
    match = MULTIPLE.match(value)
    return (match[1] if match else None) or "1"


def resolve_config(method: Method, params: dict[str, Any], model_type: str | None) -> dict[str, Any]:
    """The arguments of the method's config class: references filled in, target letters resolved.

    `model_type` None (an architecture not known yet) leaves letters as they are. Raises ValueError where
    the architecture lacks a letter.
    """
    config = {key: filled(value, params) for key, value in method.config.items()}
    for key, value in config.items():
        if key.endswith("_modules") and is_letters(value) and model_type is not None:
            config[key] = sorted(module_names(value, model_type))
        elif key.endswith("_modules") and isinstance(value, list):
            config[key] = sorted(value)
    return config


def filled(value: Any, params: dict[str, Any]) -> Any:
    """A value with its `${param}` references replaced; one that is nothing else keeps the parameter's type."""
    if isinstance(value, dict):
        return {key: filled(child, params) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(filled(child, params) for child in value)
    if not isinstance(value, str):
        return value
    whole = REFERENCE.fullmatch(value)
    return params[whole[1]] if whole else REFERENCE.sub(lambda match: str(params[match[1]]), value)
