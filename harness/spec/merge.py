"""Putting documents together: mappings merge by key, everything else replaces."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from harness.errors import Problem, SpecError
from harness.located import Located, Mark, Path_, parse_yaml
from harness.yaml_loaders import DEEPEST

EITHER_OR: tuple[tuple[Path_, tuple[str, ...]], ...] = (
    (("train",), ("epochs", "steps")),
    (("data", "train"), ("path", "url", "hub", "mix")),
    (("score", "decoding"), ("beams", "sample")),
)
"""Mappings and their fields of which a later document's choice replaces the earlier one's."""
OWNED: dict[Path_, tuple[str, ...]] = {
    ("data", "train", "url"): ("sha256",),
    ("data", "train", "hub"): ("revision", "config", "split"),
    ("base", "model"): ("revision",),
}
"""Fields that say more of another field's value, and go with it where a later document has another value there."""


def merge(*documents: Located) -> Located:
    """The documents laid over each other, the last one winning; every value keeps its mark."""
    merged = Located({}, {})
    for document in documents:
        _lay(merged, document)
    return merged


def _lay(under: Located, over: Located) -> None:
    laying = _Laying(under, over)
    laying.mapping(under.data, over.data, ())
    laying.move_marks()


class _Laying:
    """One document being laid over another: which places of the lower one give way."""

    def __init__(self, under: Located, over: Located) -> None:
        self.under, self.over = under, over
        self.replaced: set[Path_] = set()
        self.dropped: set[Path_] = set()

    def mapping(self, below: dict[str, Any], above: dict[str, Any], place: Path_) -> None:
        marks = self.under.marks
        if place in self.over.marks and (self.over.marks[place].line or place not in marks):
            marks[place] = self.over.marks[place]
        for key, value in above.items():
            here = (*place, key)
            if isinstance(value, dict) and isinstance(below.get(key), dict):
                self.mapping(below[key], value, here)
                continue
            if value is not None:
                self._drop_rivals(below, above, here)
            if value != below.get(key):
                self._drop_owned(below, above, here)
            below[key] = deepcopy(value)
            self.replaced.add(here)

    def _drop_rivals(self, below: dict[str, Any], above: dict[str, Any], place: Path_) -> None:
        """Setting `train.steps` over a file that says `train.epochs` means the steps."""
        for parent, fields in EITHER_OR:
            if place[:-1] != parent or place[-1] not in fields:
                continue
            for rival in fields:
                if rival in below and rival not in above:
                    del below[rival]
                    self.dropped.add((*parent, rival))
                    self._drop_owned(below, above, (*parent, rival))

    def _drop_owned(self, below: dict[str, Any], above: dict[str, Any], place: Path_) -> None:
        """The hash of one address is not that of another."""
        for name in OWNED.get(place, ()):
            if name in below and name not in above:
                del below[name]
                self.dropped.add((*place[:-1], name))

    def move_marks(self) -> None:
        """Forgets the marks of what gave way and takes over those of what took its place, in one pass."""
        gone = self.replaced | self.dropped
        kept = {place: mark for place, mark in self.under.marks.items() if not _lies_in(place, gone)}
        new = {place: mark for place, mark in self.over.marks.items() if _lies_in(place, self.replaced)}
        self.under.marks = kept | new


def _lies_in(place: Path_, places: set[Path_]) -> bool:
    return any(place[:depth] in places for depth in range(1, len(place) + 1))


def assignments(texts: Iterable[str], problems: list[Problem]) -> Located:
    """`a.b=value` texts of `--set` as a document, the values read as YAML.

    A text without `=` or with a value that is no YAML is added to `problems`.
    """
    documents = []
    for text in texts:
        path, equals, value = text.partition("=")
        keys = path.strip().split(".")
        for axes in (["matrix"], ["select", "over"]):
            if keys[: len(axes)] == axes and len(keys) > len(axes) + 1:
                keys = [*axes, ".".join(keys[len(axes) :])]  # the fields of axes hold dots
        if not equals or not all(keys) or len(keys) > DEEPEST:
            problems.append(Problem("--set", 0, text, "must be a.b=value"))
            continue
        try:
            parsed = parse_yaml(f"value: {value}", "--set")
        except SpecError:
            parsed = Located({})
        if parsed.data.keys() == {"value"}:
            documents.append(_nested(keys, parsed))
        else:
            problems.append(Problem("--set", 0, path, f"{value!r} is no YAML value"))
    return merge(*documents)


def _nested(keys: list[str], parsed: Located) -> Located:
    value = parsed.data["value"]
    for key in reversed(keys):
        value = {key: value}
    marks = {tuple(keys[:depth]): Mark("--set", 0) for depth in range(1, len(keys) + 1)}
    marks |= {(*keys, *place[1:]): Mark("--set", 0) for place in parsed.marks if place}
    return Located(value, marks)
