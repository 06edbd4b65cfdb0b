"""A method: one YAML file that says how a PEFT method is built and what an experiment may set of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.adapters.declared import declared_params, default_problems
from harness.adapters.param import Param
from harness.adapters.shape import CLASSES, shape_problems
from harness.errors import SpecError
from harness.located import Located, Path_, dotted, read_yaml


@dataclass(frozen=True)
class Method:
    """A method's definition.

    summary: what it changes, in a line; trains: `adapter` (through `config_class`), `all` weights, or `nothing`;
    config: the arguments of `config_class` with `${param}` references; train: the hyper-parameters that the method
    needs; loads: `path` and `revision` of an adapter that is scored as it is, with `${param}` references;
    paper: `title`, `arxiv`, `venue`, `year`, as far as they are given;
    callbacks: transformers callbacks as `{class: module:Class, args: {...}}`, with `${param}` references in args, as
    in optimizer_args; limits: what it can't do, with the reason, by the checks of `harness adapters check`;
    lines: where each of `train` stands; class_lines: where each class is named (`config_class`, `callbacks[0]`, ...).
    """

    method: str
    title: str
    file: str
    summary: str = ""
    trains: Literal["adapter", "all", "nothing"] = "adapter"
    config_class: str | None = None
    params: dict[str, Param] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    callbacks: tuple[dict[str, Any], ...] = ()
    trainer: str | None = None
    optimizer: str | None = None
    optimizer_args: dict[str, Any] = field(default_factory=dict)
    mergeable: bool | None = None
    family: str = ""
    loads: dict[str, Any] = field(default_factory=dict)
    paper: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    notes: str = ""
    lines: dict[str, int] = field(default_factory=dict)
    class_lines: dict[str, int] = field(default_factory=dict)


def load_method(path: Path, shown_as: str | None = None) -> Method:
    """Reads a method file. Raises SpecError with every problem in it."""
    located = read_yaml(path, shown_as)
    problems = shape_problems(located)
    params = declared_params(located, problems)
    if not problems:
        problems += default_problems(params, located)
    if problems:
        raise SpecError(problems)
    raw = located.data
    optional = ("summary", "train", "trainer", "mergeable", "family", "paper", "limits", "notes", "loads")
    plain = {key: raw[key] for key in optional if raw.get(key) is not None}
    optimizer = _named(raw["optimizer"]) if raw.get("optimizer") else {"class": None, "args": {}}
    return Method(
        method=raw["method"],
        title=raw.get("title", raw["method"]),
        file=shown_as or str(path),
        trains=raw.get("trains", "adapter"),
        config_class=raw.get("config_class"),
        params=params,
        config=raw.get("config") or {},
        callbacks=tuple(_named(entry) for entry in raw.get("callbacks") or ()),
        optimizer=optimizer["class"],
        optimizer_args=optimizer["args"],
        lines={key: located.mark(("train", key)).line for key in raw.get("train") or ()},
        class_lines=_class_lines(located),
        **plain,
    )


def _class_lines(located: Located) -> dict[str, int]:
    places: list[Path_] = [(key,) for key in CLASSES if key in located.data]
    places += [("callbacks", index) for index in range(len(located.data.get("callbacks") or ()))]
    return {dotted(place): located.mark(place).line for place in places}


def _named(entry: Any) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"class": entry, "args": {}}
    return {"class": entry["class"], "args": entry.get("args") or {}}
