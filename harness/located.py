"""YAML that remembers where every value was written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.errors import Problem, SpecError

Path_ = tuple[str | int, ...]
"""A place in a document: mapping keys and sequence indexes from its root."""


@dataclass(frozen=True)
class Mark:
    """A file and a line, counted from 1 (0: not from a line, as for `--set`)."""

    file: str
    line: int


@dataclass
class Located:
    """A document as plain values, and the mark of each of its places."""

    data: dict[str, Any]
    marks: dict[Path_, Mark] = field(default_factory=dict)

    def mark(self, place: Path_) -> Mark:
        """Where the value at `place` was written, or the nearest thing around it."""
        while place and place not in self.marks:
            place = place[:-1]
        return self.marks.get(place, Mark("", 0))

    def problem(self, place: Path_, message: str) -> Problem:
        """A mistake in the value at `place`."""
        mark = self.mark(place)
        return Problem(mark.file, mark.line, dotted(place), message)


def dotted(place: Path_) -> str:
    """`("adapters", 1, "r")` as `adapters[1].r`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans and numbers: `1e-4` is a float; `no`, `1:30` and `2024-01-01` are texts."""


_REPLACED = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][\d_]*|0x[\da-fA-F]+)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:(?:\d[\d_]*)?\.\d[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*\.?[eE][-+]?\d+|\d[\d_]*\.|\.(?:inf|Inf|nan|NaN))$"
    ),
    list("-+0123456789."),
)


NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters that only an escape can bring into a text, and that no path and no UTF-8 file can hold."""
MOST_VALUES = 100_000
"""A document of more (aliases that multiply) is refused."""


def read_yaml(path: Path, shown_as: str | None = None) -> Located:
    """The mapping in a YAML file, with a mark for every place.

    Raises SpecError for a file that can't be read, is no YAML, repeats a key or holds no mapping.
    """
    name = shown_as or str(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SpecError([Problem(name, 0, "", f"can't be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = _line_at(error.object, error.start)
        raise SpecError([Problem(name, line, "", "can't be read: is not UTF-8 text")]) from None
    return parse_yaml(text, name)


def _line_at(text: str | bytes, position: int) -> int:
    """The line, counted from 1, in which a position of the text lies."""
    before = text[:position]
    return 1 + (before.count(b"\n") if isinstance(before, bytes) else before.count("\n"))


def parse_yaml(text: str, name: str) -> Located:
    """As `read_yaml`, for a text that is called `name` in messages."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise SpecError([Problem(name, 1, "", "must hold a mapping of fields")])
        reader = _Reader(loader, name)
        data = reader.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        raise SpecError([Problem(name, line, "", f"not valid YAML: {error.problem or error.context}")]) from None
    except yaml.reader.ReaderError as error:
        line = _line_at(text, error.position)
        raise SpecError([Problem(name, line, "", f"not valid YAML: {str(error).splitlines()[0]}")]) from None
    except RecursionError:
        raise SpecError([Problem(name, 1, "", "is nested too deeply, or an alias contains itself")]) from None
    finally:
        if loader is not None:
            loader.dispose()
    if reader.problems:
        raise SpecError(reader.problems)
    return Located(data, reader.marks)


class _Reader:
    """Turns YAML nodes into values, noting marks and repeated keys on the way."""

    def __init__(self, loader: _Loader, name: str) -> None:
        self.loader, self.name = loader, name
        self.marks: dict[Path_, Mark] = {}
        self.problems: list[Problem] = []
        self.checked: set[int] = set()

    def value(self, node: yaml.Node, place: Path_) -> Any:
        if len(self.marks) > MOST_VALUES:
            raise SpecError([self._problem(node, (), f"holds more than {MOST_VALUES:,} values")])
        self.marks[place] = Mark(self.name, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return dict(self.items(node, place))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*place, index)) for index, child in enumerate(node.value)]
        return self.scalar(node, place)

    def scalar(self, node: yaml.ScalarNode, place: Path_) -> Any:
        try:
            value = self.loader.construct_object(node)
        except (ValueError, LookupError, AttributeError):  # how a constructor stumbles over `!!int x`
            kind = node.tag.rpartition(":")[2]
            message = f"is no {kind}, or too long for one: {node.value[:40]!r}"
            self.problems.append(self._problem(node, place, message))
            return None
        if isinstance(value, str) and NO_TEXT.search(value):
            self.problems.append(self._problem(node, place, f"holds a character that no text has, got {value!r}"))
        return value

    def _problem(self, node: yaml.Node, place: Path_, message: str) -> Problem:
        return Problem(self.name, node.start_mark.line + 1, dotted(place), message)

    def items(self, node: yaml.MappingNode, place: Path_) -> Iterator[tuple[str, Any]]:
        self.refuse_repeated(node, place)
        self.loader.flatten_mapping(node)
        for key_node, value_node in node.value:
            key = self.key(key_node, place)
            value = self.value(value_node, (*place, key))
            self.marks[(*place, key)] = Mark(self.name, key_node.start_mark.line + 1)
            yield key, value

    def key(self, node: yaml.Node, place: Path_) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self.problems.append(self._problem(node, place, "holds a key that is no text; quote it"))
            return ""
        return str(self.scalar(node, place))

    def refuse_repeated(self, node: yaml.MappingNode, place: Path_) -> None:
        if id(node) in self.checked:  # an alias, its merge keys already filled in
            return
        self.checked.add(id(node))
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            if key_node.value in seen and key_node.value != "<<":
                self.problems.append(self._problem(key_node, (*place, key_node.value), "is written twice"))
            seen.add(key_node.value)
