"""The shape of a method's file: which fields it has, and what each must be."""

from __future__ import annotations

import re
from typing import Any

from harness.adapters.families import FAMILIES
from harness.errors import Problem, nearest
from harness.located import Located, Path_

REFERENCE = re.compile(r"\$\{(\w+)\}")
CLASS_PATH = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
FIELDS = {
    "method", "title", "summary", "paper", "config_class", "trains", "params", "config", "train", "callbacks",
    "trainer", "optimizer", "mergeable", "family", "limits", "notes", "loads",
}  # fmt: skip
CLASSES = ("config_class", "trainer", "optimizer")
LIMITS = ("builds", "counts", "starts_as_base", "reloads", "resumes", "merges")
"""What `harness adapters check` sees and a method may declare that it can't do."""
PAPER_FIELDS = ("title", "arxiv", "venue", "year")
TEXTS = ("title", "summary", "notes")
LOADS = {"path", "revision"}
NAMED = "module:Class or {class: module:Class, args: {...}}"


def shape_problems(located: Located) -> list[Problem]:
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
    for key in ("params", "config", "train", "paper", "limits", "loads"):
        if raw.get(key) is not None and not isinstance(raw[key], dict):
            problems.append(located.problem((key,), f"must be a mapping, got {raw[key]!r}"))
    for key in TEXTS:
        if raw.get(key) is not None and not isinstance(raw[key], str):
            problems.append(located.problem((key,), f"must be a text, got {raw[key]!r}"))
    if not isinstance(raw.get("mergeable"), (bool, type(None))):
        problems.append(located.problem(("mergeable",), f"must be true or false, got {raw['mergeable']!r}"))
    if (family := raw.get("family")) is not None and family not in tuple(FAMILIES):
        problems.append(located.problem(("family",), f"unknown family {family!r}, {nearest(str(family), FAMILIES)}"))
    for part in (_class_problems, _paper_problems, _limit_problems, _loads_problems, _reference_problems):
        problems += part(located)
    return problems


def _class_problems(located: Located) -> list[Problem]:
    raw, problems = located.data, []
    for key in ("config_class", "trainer"):
        if raw.get(key) is not None and not CLASS_PATH.match(str(raw[key])):
            problems.append(located.problem((key,), f"must be module:Class, got {raw[key]!r}"))
    if raw.get("optimizer") is not None:
        problems += _named_problems(("optimizer",), raw["optimizer"], located)
    entries = raw.get("callbacks") or []
    if not isinstance(entries, list):
        return [*problems, located.problem(("callbacks",), f"must be a list, got {entries!r}")]
    for index, entry in enumerate(entries):
        problems += _named_problems(("callbacks", index), entry, located)
    return problems


def _named_problems(place: Path_, entry: Any, located: Located) -> list[Problem]:
    """What is wrong with a class and its arguments."""
    fields = entry if isinstance(entry, dict) else {"class": entry}
    name, args = fields.get("class"), fields.get("args")
    if not isinstance(name, str) or not CLASS_PATH.match(name):
        return [located.problem(place, f"must be {NAMED}, got {entry!r}")]
    problems = [
        located.problem((*place, key), f"unknown field, {nearest(key, ('class', 'args'))}")
        for key in fields
        if key not in ("class", "args")
    ]
    if args is not None and not isinstance(args, dict):
        problems.append(located.problem((*place, "args"), f"must be a mapping, got {args!r}"))
    return problems


def _paper_problems(located: Located) -> list[Problem]:
    paper = located.data.get("paper")
    problems = []
    for key, value in paper.items() if isinstance(paper, dict) else ():
        if key not in PAPER_FIELDS:
            problems.append(located.problem(("paper", key), f"unknown field, {nearest(str(key), PAPER_FIELDS)}"))
        elif not isinstance(value, int if key == "year" else str):
            kind = "a year" if key == "year" else "a text (in quotes)"
            problems.append(located.problem(("paper", key), f"must be {kind}, got {value!r}"))
    return problems


def _limit_problems(located: Located) -> list[Problem]:
    limits = located.data.get("limits")
    problems = []
    for key, reason in limits.items() if isinstance(limits, dict) else ():
        if key not in LIMITS:
            problems.append(located.problem(("limits", key), f"unknown check, {nearest(str(key), LIMITS)}"))
        elif not isinstance(reason, str) or not reason.strip():
            problems.append(located.problem(("limits", key), f"must be the reason as a text, got {reason!r}"))
    return problems


def _loads_problems(located: Located) -> list[Problem]:
    loads = located.data.get("loads")
    if not isinstance(loads, dict):
        return []
    problems = [
        located.problem(("loads", key), f"unknown field, {nearest(str(key), LOADS)}") for key in loads.keys() - LOADS
    ]
    if "path" not in loads:
        problems.append(located.problem(("loads",), "needs a path"))
    if located.data.get("trains") != "nothing":
        problems.append(located.problem(("loads",), "needs trains: nothing"))
    return problems


def _reference_problems(located: Located) -> list[Problem]:
    """`${x}` where no parameter is called x."""
    params = located.data.get("params")
    known = params if isinstance(params, dict) else {}
    problems = []
    for field in ("config", "callbacks", "optimizer", "loads"):
        for place, text in _strings(located.data.get(field), (field,)):
            for name in REFERENCE.findall(text):
                if name not in known:
                    problems.append(located.problem(place, f"${{{name}}} is no parameter, {nearest(name, known)}"))
    return problems


def _strings(value: Any, place: Path_) -> list[tuple[Path_, str]]:
    if isinstance(value, str):
        return [(place, value)]
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, child in pairs for found in _strings(child, (*place, key))]
