"""A method: one YAML file that says how a PEFT method is built and what an experiment may set of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.adapters.param import MULTIPLE, STEPS, Param, check_param
from harness.errors import Problem, SpecError, nearest
from harness.located import Located, Path_, dotted, read_yaml

REFERENCE = re.compile(r"\$\{(\w+)\}")
CLASS_PATH = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
FIELDS = {
    "method", "title", "paper", "config_class", "trains", "params", "config", "train", "callbacks", "trainer",
    "optimizer", "mergeable", "family", "notes",
}  # fmt: skip
PARAM_FIELDS = {"default", "min", "max", "choices", "type", "help"}
TYPES = ("int", "float", "str", "bool", "list")
CLASSES = ("config_class", "trainer", "optimizer")
RESERVED = {"method", "label", "train", "mixed"}
TEXTS = ("title", "family", "notes")


@dataclass(frozen=True)
class Method:
    """A method's definition.

    trains: `adapter` (through `config_class`), `all` weights, or `nothing`; config: the arguments of
    `config_class` with `${param}` references; train: the hyper-parameters that the method needs;
    callbacks: transformers callbacks as `{class: module:Class, args: {...}}`; lines: where each of `train` stands;
    class_lines: where each class is named (`config_class`, `callbacks[0]`, ...).
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
    lines: dict[str, int] = field(default_factory=dict)
    class_lines: dict[str, int] = field(default_factory=dict)


def load_method(path: Path, shown_as: str | None = None) -> Method:
    """Reads a method file. Raises SpecError with every problem in it."""
    located = read_yaml(path, shown_as)
    problems = [*_shape_problems(located), *_reference_problems(located)]
    params = _params(located, problems)
    if not problems:
        problems += _default_problems(params, located)
    if problems:
        raise SpecError(problems)
    raw = located.data
    optional = ("train", "trainer", "optimizer", "mergeable", "family", "paper", "notes")
    plain = {key: raw[key] for key in optional if raw.get(key) is not None}
    return Method(
        method=raw["method"],
        title=raw.get("title", raw["method"]),
        file=shown_as or str(path),
        trains=raw.get("trains", "adapter"),
        config_class=raw.get("config_class"),
        params=params,
        config=raw.get("config") or {},
        callbacks=tuple(_callback(entry) for entry in raw.get("callbacks") or ()),
        lines={key: located.mark(("train", key)).line for key in raw.get("train") or ()},
        class_lines=_class_lines(located),
        **plain,
    )


def _class_lines(located: Located) -> dict[str, int]:
    places: list[Path_] = [(key,) for key in CLASSES if key in located.data]
    places += [("callbacks", index) for index in range(len(located.data.get("callbacks") or ()))]
    return {dotted(place): located.mark(place).line for place in places}


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
    if raw.get("method") == "mixed":
        problems.append(located.problem(("method",), "is what a mixture is called: choose another name"))
    if not isinstance(raw.get("method"), str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", raw["method"]):
        problems.append(located.problem(("method",), f"must be a lower-case name, got {raw.get('method')!r}"))
    trains = raw.get("trains", "adapter")
    if trains not in ("adapter", "all", "nothing"):
        problems.append(located.problem(("trains",), f"must be adapter, all or nothing, got {trains!r}"))
    if trains == "adapter" and not raw.get("config_class"):
        problems.append(located.problem(("method",), "needs a config_class (module:Class of a peft.PeftConfig)"))
    for key in CLASSES:
        if raw.get(key) is not None and not CLASS_PATH.match(str(raw[key])):
            problems.append(located.problem((key,), f"must be module:Class, got {raw[key]!r}"))
    for key in ("params", "config", "train", "paper"):
        if raw.get(key) is not None and not isinstance(raw[key], dict):
            problems.append(located.problem((key,), f"must be a mapping, got {raw[key]!r}"))
    for key in TEXTS:
        if raw.get(key) is not None and not isinstance(raw[key], str):
            problems.append(located.problem((key,), f"must be a text, got {raw[key]!r}"))
    if not isinstance(raw.get("mergeable"), (bool, type(None))):
        problems.append(located.problem(("mergeable",), f"must be true or false, got {raw['mergeable']!r}"))
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
    return {name: _param(name, value, set(raw), located, problems) for name, value in raw.items()}


def _default_problems(params: dict[str, Param], located: Located) -> list[Problem]:
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
    problems += _param_problems(name, fields, located)
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
