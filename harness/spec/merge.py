"""Putting documents together: mappings merge by key, everything else replaces."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from harness.errors import Problem, SpecError
from harness.located import Located, Mark, Path_, parse_yaml

EITHER_OR: tuple[tuple[Path_, tuple[str, ...]], ...] = (
    (("train",), ("epochs", "steps")),
    (("data", "train"), ("path", "url", "hub", "mix")),
    (("score", "decoding"), ("beams", "sample")),
)
"""Mappings and their fields of which a later document's choice replaces the earlier one's."""


def merge(*documents: Located) -> Located:
    """The documents laid over each other, the last one winning; every value keeps its mark."""
    merged = Located({}, {})
    for document in documents:
        _lay(merged, document)
    return merged


def _lay(under: Located, over: Located) -> None:
    _lay_mapping(under, under.data, over, over.data, ())


def _lay_mapping(under: Located, below: dict[str, Any], over: Located, above: dict[str, Any], place: Path_) -> None:
    if place in over.marks and (over.marks[place].line or place not in under.marks):
        under.marks[place] = over.marks[place]
    for key, value in above.items():
        here = (*place, key)
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay_mapping(under, below[key], over, value, here)
            continue
        if value is not None:
            _drop_rivals(under, below, above, here)
        below[key] = deepcopy(value)
        _forget(under.marks, here)
        under.marks.update({mark: where for mark, where in over.marks.items() if mark[: len(here)] == here})


def _drop_rivals(under: Located, below: dict[str, Any], above: dict[str, Any], place: Path_) -> None:
    """Setting `train.steps` over a file that says `train.epochs` means the steps."""
    for parent, fields in EITHER_OR:
        if place[:-1] != parent or place[-1] not in fields:
            continue
        for rival in fields:
            if rival in below and rival not in above:
                del below[rival]
                _forget(under.marks, (*parent, rival))


def _forget(marks: dict[Path_, Mark], place: Path_) -> None:
    for mark in [mark for mark in marks if mark[: len(place)] == place]:
        del marks[mark]


def assignments(texts: Iterable[str], problems: list[Problem]) -> Located:
    """`a.b=value` texts of `--set` as a document, the values read as YAML.

    A text without `=` or with a value that is no YAML is added to `problems`.
    """
    documents = []
    for text in texts:
        path, equals, value = text.partition("=")
        keys = path.strip().split(".")
        if keys[0] == "matrix" and len(keys) > 2:
            keys = ["matrix", ".".join(keys[1:])]  # a matrix's keys hold dots
        if not equals or not all(keys):
            problems.append(Problem("--set", 0, text, "must be a.b=value"))
            continue
        try:
            documents.append(_nested(keys, parse_yaml(f"value: {value}", "--set")))
        except SpecError:
            problems.append(Problem("--set", 0, path, f"{value!r} is no YAML value"))
    return merge(*documents)


def _nested(keys: list[str], parsed: Located) -> Located:
    value = parsed.data["value"]
    for key in reversed(keys):
        value = {key: value}
    marks = {tuple(keys[:depth]): Mark("--set", 0) for depth in range(1, len(keys) + 1)}
    marks |= {(*keys, *place[1:]): Mark("--set", 0) for place in parsed.marks if place}
    return Located(value, marks)
