"""What a method's parameter may be set to, as JSON Schema."""

from __future__ import annotations

from harness.adapters.param import ALL_LINEAR, MULTIPLE, POSITIVE, STEPS, Param
from harness.catalog.architectures import LETTERS
from harness.spec.editor.shapes import Schema

TYPES = {"int": "integer", "float": "number", "str": "string", "bool": "boolean", "list": "array"}


def param_schema(param: Param) -> Schema:
    """A parameter's values: what `harness.adapters.param.check_param` takes, and now and then a little more."""
    about = {key: value for key, value in (("description", param.help), ("default", param.default)) if value != ""}
    if param.name == "targets":
        return {"anyOf": _targets()} | about
    ways = [_typed(param)]
    if param.type in ("int", "float"):
        ways.append({"type": "string", "pattern": MULTIPLE.pattern, "description": _multiple(param)})
    if param.default is None:
        ways.append({"type": "null"})
    return (ways[0] if len(ways) == 1 else {"anyOf": ways}) | about


def _typed(param: Param) -> Schema:
    if param.choices:
        return {"enum": list(param.choices)}
    if param.type not in TYPES:
        return {}
    found: Schema = {"type": TYPES[param.type]}
    if param.min is not None:
        found["minimum"] = param.min
    elif param.name in POSITIVE:
        found["exclusiveMinimum"] = 0
    return found | ({} if param.max is None else {"maximum": param.max})


def _multiple(param: Param) -> str:
    steps = "" if param.name in POSITIVE else f" or a share of the steps, as 0.1{STEPS}"
    return f"a multiple of another parameter, as 2r{steps}"


def _targets() -> list[Schema]:
    letters = "".join(LETTERS)
    return [
        {"type": "string", "pattern": f"^[{letters}]+$", "description": "letters of QKVOGUD, the modules adapted"},
        {"const": ALL_LINEAR},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": "names of modules"},
    ]
