"""A method: one YAML file that says how a PEFT method is built and what an experiment may set of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import Problem, SpecError, nearest
from harness.located import Located, read_yaml

REFERENCE = re.compile(r"\$\{(\w+)\}")
CLASS_PATH = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
FIELDS = {
    "method", "title", "paper", "config_class", "trains", "params", "config", "train", "callbacks", "trainer",
    "optimizer", "mergeable", "family", "notes",
}  # fmt: skip
PARAM_FIELDS = {"default", "min", "max", "choices", "type", "help"}
TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list}


@dataclass(frozen=True)
class Param:
    """What an experiment may set: its default, its type (the default's), and its bounds."""

    name: str
    default: Any
    type: str
    min: float | None = None
    max: float | None = None
    choices: tuple[Any, ...] = ()
    help: str = ""


@dataclass(frozen=True)
class Method:
    """A method's definition.

    trains: `adapter` (through `config_class`), `all` weights, or `nothing`; config: the arguments of
    `config_class` with `${param}` references; train: the hyper-parameters that the method needs;
    callbacks: transformers callbacks as `{class: module:Class, args: {...}}`.
    """

    method: str
    title: str
    file: str
    trains: Literal["adapter", "all", "nothing"] = "adapter"
    config_class: str | None = None
    params: dict[str, Param] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    callbacks: tuple[dict[str, Any], ...] = ()
    trainer: str | None = None
    optimizer: str | None = None
    mergeable: bool | None = None
    family: str = ""
    paper: dict[str, str] = field(default_factory=dict)
    notes: str = ""


def load_method(path: Path, shown_as: str | None = None) -> Method:
    """Reads a method file. Raises SpecError with every problem in it."""
    located = read_yaml(path, shown_as)
    problems = [*_shape_problems(located), *_reference_problems(located)]
    params = _params(located, problems)
    if problems:
        raise SpecError(problems)
    raw = located.data
    plain = {key: raw[key] for key in ("train", "trainer", "optimizer", "mergeable", "family", "paper", "notes") if key in raw}
    return Method(
        method=raw["method"],
        title=raw.get("title", raw["method"]),
        file=shown_as or str(path),
        trains=raw.get("trains", "adapter"),
        config_class=raw.get("config_class"),
        params=params,
        config=raw.get("config") or {},
        callbacks=tuple(_callback(entry) for entry in raw.get("callbacks") or ()),
        **plain,
    )


def _callback(entry: Any) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"class": entry, "args": {}}
    return {"class": entry["class"], "args": entry.get("args") or {}}


def _shape_problems(located: Located) -> list[Problem]:
    """Unknown fields, missing ones, and values of the wrong kind."""
    raw, problems = located.data, []
    for key in raw:
        if key not in FIELDS:
            problems.append(located.problem((key,), f"unknown field, {nearest(key, FIELDS)}"))
    if not isinstance(raw.get("method"), str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", raw["method"]):
        problems.append(located.problem(("method",), f"must be a lower-case name, got {raw.get('method')!r}"))
    trains = raw.get("trains", "adapter")
    if trains not in ("adapter", "all", "nothing"):
        problems.append(located.problem(("trains",), f"must be adapter, all or nothing, got {trains!r}"))
    if trains == "adapter" and not raw.get("config_class"):
        problems.append(located.problem(("method",), "needs a config_class (module:Class of a peft.PeftConfig)"))
    for key in ("config_class", "trainer", "optimizer"):
        if raw.get(key) is not None and not CLASS_PATH.match(str(raw[key])):
            problems.append(located.problem((key,), f"must be module:Class, got {raw[key]!r}"))
    for key in ("params", "config", "train", "paper"):
        if raw.get(key) is not None and not isinstance(raw[key], dict):
            problems.append(located.problem((key,), f"must be a mapping, got {raw[key]!r}"))
    return problems + _callback_problems(located)


def _callback_problems(located: Located) -> list[Problem]:
    entries = located.data.get("callbacks") or []
    if not isinstance(entries, list):
        return [located.problem(("callbacks",), f"must be a list, got {entries!r}")]
    problems = []
    for index, entry in enumerate(entries):
        name = entry.get("class") if isinstance(entry, dict) else entry
        if not isinstance(name, str) or not CLASS_PATH.match(name):
            message = f"must be module:Class or {{class: module:Class, args: {{...}}}}, got {entry!r}"
            problems.append(located.problem(("callbacks", index), message))
    return problems


def _reference_problems(located: Located) -> list[Problem]:
    """`${x}` in `config` where no parameter is called x."""
    params = located.data.get("params")
    known = params if isinstance(params, dict) else {}
    problems = []
    for place, text in _strings(located.data.get("config"), ("config",)):
        for name in REFERENCE.findall(text):
            if name not in known:
                problems.append(located.problem(place, f"${{{name}}} is no parameter, {nearest(name, known)}"))
    return problems


def _strings(value: Any, place: tuple[str | int, ...]) -> list[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        return [(place, value)]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, child in pairs for found in _strings(child, (*place, key))]


def _params(located: Located, problems: list[Problem]) -> dict[str, Param]:
    raw = located.data.get("params")
    if not isinstance(raw, dict):
        return {}
    return {name: _param(name, value, located, problems) for name, value in raw.items()}


def _param(name: str, value: Any, located: Located, problems: list[Problem]) -> Param:
    fields = value if isinstance(value, dict) and "default" in value else {"default": value}
    for key in fields.keys() - PARAM_FIELDS:
        problems.append(located.problem(("params", name, key), f"unknown field, {nearest(key, PARAM_FIELDS)}"))
    default = fields["default"]
    kind = fields.get("type") or _type_of(default)
    if kind not in TYPES:
        problems.append(located.problem(("params", name, "type"), f"must be one of {', '.join(TYPES)}, got {kind!r}"))
    return Param(
        name=name,
        default=default,
        type=kind,
        min=fields.get("min", 1 if name == "r" else None),
        max=fields.get("max"),
        choices=tuple(fields.get("choices") or ()),
        help=fields.get("help", ""),
    )


def _type_of(default: Any) -> str:
    if isinstance(default, str) and re.fullmatch(r"\d*\.?\d*\s*[a-z_]\w*", default) and default[0].isdigit():
        return "float"
    return {bool: "bool", int: "int", float: "float", list: "list"}.get(type(default), "str")
