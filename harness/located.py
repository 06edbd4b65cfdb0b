"""YAML that remembers where every value was written."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from harness.errors import Problem, SpecError
from harness.yaml_loaders import DEEPEST, MOST_VALUES, TOO_DEEP, FastLoader, PlainLoader, TooLargeError

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
    return NO_TEXT.sub("�", text)


MOST_BYTES = 500_000
"""A longer file is no one's experiment, method or task."""
LONGEST = 4096
"""Bits of the longest whole number."""
NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters that only an escape can bring into a text, and that no path and no UTF-8 file can hold."""


def read_text(path: Path, name: str) -> str:
    """A file's text. Raises SpecError for one that is no regular file, is too long, or is no UTF-8 text."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SpecError([Problem(name, 0, "", "is no regular file")])
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise SpecError([Problem(name, 0, "", f"is longer than {MOST_BYTES:,} bytes")])
        return content.decode("utf-8-sig")
    except OSError as error:
        raise SpecError([Problem(name, 0, "", f"can't be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = _line_at(error.object, error.start)
        raise SpecError([Problem(name, line, "", "can't be read: is not UTF-8 text")]) from None


def read_yaml(path: Path, shown_as: str | None = None) -> Located:
    """The mapping in a YAML file, with a mark for every place.

    Raises SpecError for a file that can't be read, is no YAML, repeats a key or holds no mapping.
    """
    name = shown_as or str(path)
    return parse_yaml(read_text(path, name), name)


def _line_at(text: str | bytes, position: int) -> int:
    """The line, counted from 1, in which a position of the text lies."""
    before = text[:position]
    return 1 + (before.count(b"\n") if isinstance(before, bytes) else before.count("\n"))


def parse_yaml(text: str, name: str) -> Located:
    """As `read_yaml`, for a text that is called `name` in messages."""
    found = _remembered(text, name)
    return Located(deepcopy(found.data), dict(found.marks))


@lru_cache(maxsize=8)  # a fragment is read for each profile that extends it
def _remembered(text: str, name: str) -> Located:
    try:
        if FastLoader is not None:
            return _parsed(FastLoader, text, name)
    except TooLargeError as error:
        raise SpecError([yaml_problem(error, name)]) from None
    except (yaml.YAMLError, RecursionError):
        pass  # the other one says what is wrong, in the same words with and without libyaml
    try:
        return _parsed(PlainLoader, text, name)
    except yaml.MarkedYAMLError as error:
        raise SpecError([yaml_problem(error, name)]) from None
    except yaml.reader.ReaderError as error:
        line = _line_at(text, error.position)
        raise SpecError([Problem(name, line, "", f"not valid YAML: {str(error).splitlines()[0]}")]) from None
    except RecursionError:  # merge keys of merge keys
        raise SpecError([Problem(name, 1, "", TOO_DEEP)]) from None


def _parsed(kind: type[Any], text: str, name: str) -> Located:
    loader = kind(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise SpecError([Problem(name, 1, "", "must hold a mapping of fields")])
        reader = _Reader(loader, name)
        data = reader.value(node, ())
    finally:
        loader.dispose()
    if reader.problems:
        raise SpecError(reader.problems)
    return Located(data, reader.marks)


def yaml_problem(error: yaml.MarkedYAMLError, name: str) -> Problem:
    """What a YAML loader stumbled over."""
    mark = error.problem_mark or error.context_mark
    kind = "" if isinstance(error, TooLargeError) else "not valid YAML: "
    return Problem(name, mark.line + 1 if mark else 0, "", f"{kind}{error.problem or error.context}")


COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_NO_VALUE = object()


class _Reader:
    """Turns YAML nodes into values, noting marks and repeated keys on the way."""

    def __init__(self, loader: PlainLoader, name: str) -> None:
        self.loader, self.name = loader, name
        self.marks: dict[Path_, Mark] = {}
        self.problems: list[Problem] = []
        self.checked: set[int] = set()
        self.scalars: dict[int, Any] = {}

    def value(self, node: yaml.Node, place: Path_) -> Any:
        if len(self.marks) > MOST_VALUES:
            raise SpecError([self._problem(node, (), f"holds more than {MOST_VALUES:,} values")])
        if len(place) > DEEPEST:
            raise SpecError([self._problem(node, (), TOO_DEEP)])
        self.marks[place] = Mark(self.name, node.start_mark.line + 1)
        if isinstance(node, yaml.CollectionNode) and node.tag not in COLLECTIONS:
            self.problems.append(self._problem(node, place, f"has the tag {node.tag!r}: leave it out"))
        if isinstance(node, yaml.MappingNode):
            return dict(self.items(node, place))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*place, index)) for index, child in enumerate(node.value)]
        return self.scalar(node, place)

    def scalar(self, node: yaml.ScalarNode, place: Path_) -> Any:
        if id(node) not in self.scalars:  # else an alias
            self.scalars[id(node)] = self._scalar(node, place)
        return self.scalars[id(node)]

    def _scalar(self, node: yaml.ScalarNode, place: Path_) -> Any:
        kind = node.tag.rpartition(":")[2]
        try:
            value = self.loader.construct_object(node)
        except (ValueError, LookupError, AttributeError):  # how a constructor stumbles over `!!int x`
            value = _NO_VALUE
        if value is _NO_VALUE or (isinstance(value, int) and value.bit_length() > LONGEST):
            message = f"is no {kind}, or too long for one: {node.value[:40]!r}"
            self.problems.append(self._problem(node, place, message))
            return None
        if not isinstance(value, (str, int, float, type(None))):
            self.problems.append(self._problem(node, place, f"is a {kind}, which no field holds: quote it"))
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
