"""YAML loaders that no file can keep busy."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import Composer

MOST_VALUES = 10_000
"""A document of more (aliases that multiply) is refused."""
DEEPEST = 100
"""A document that is nested more deeply is refused."""
TOO_DEEP = "is nested too deeply, or an alias contains itself"


class TooLargeError(yaml.MarkedYAMLError):
    """A document that would take too long to read."""


class _Bounds:
    """What makes a safe loader refuse documents which are deep, long, or grow by merge keys, while it reads them."""

    def _begin(self) -> None:
        self._values = self._depth = self._merged = 0
        self._merging: set[int] = set()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """As a safe loader's. Raises TooLargeError."""
        self._values += 1
        self._depth += 1
        mark = self.peek_event().start_mark
        if self._values > 2 * MOST_VALUES:  # keys and values
            raise TooLargeError(problem=f"holds more than {MOST_VALUES:,} values", problem_mark=mark)
        if self._depth > DEEPEST:
            raise TooLargeError(problem=TOO_DEEP, problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """As a safe loader's. Raises TooLargeError where merge keys of merge keys multiply."""
        self._merging.add(id(node))
        for key, value in node.value:
            if key.tag != "tag:yaml.org,2002:merge":
                continue
            for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(part, yaml.MappingNode) and id(part) not in self._merging:
                    self.flatten_mapping(part)
                self._merged += len(part.value)
        if self._merged > MOST_VALUES:
            message = f"holds more than {MOST_VALUES:,} values by merge keys"
            raise TooLargeError(problem=message, problem_mark=node.start_mark)
        super().flatten_mapping(node)
        self._merging.discard(id(node))


class BoundedLoader(_Bounds, yaml.SafeLoader):
    """A safe loader within bounds."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._begin()


class PlainLoader(BoundedLoader):
    """YAML 1.2's booleans and numbers: `1e-4` is a float; `no`, `1:30` and `2024-01-01` are texts."""


_REPLACED = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp")}
PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][\d_]*|0x[\da-fA-F]+)$"), list("-+0123456789")
)
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:(?:\d[\d_]*)?\.\d[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*\.?[eE][-+]?\d+|\d[\d_]*\.|\.(?:inf|Inf|nan|NaN))$"
    ),
    list("-+0123456789."),
)


FastBoundedLoader: type[Any] | None = None
"""A BoundedLoader that is four times as fast, where PyYAML comes with libyaml: that finds the tokens, PyYAML puts them
together, so that the bounds hold. Its messages are worded otherwise, and it refuses escaped surrogates."""
FastLoader: type[Any] | None = None
"""The same of a PlainLoader."""

if yaml.__with_libyaml__:

    class _WithLibyaml(_Bounds, Composer, yaml.CSafeLoader):
        def __init__(self, text: str) -> None:
            yaml.CSafeLoader.__init__(self, text)
            Composer.__init__(self)
            self._begin()

    class _PlainWithLibyaml(_WithLibyaml):
        yaml_implicit_resolvers = PlainLoader.yaml_implicit_resolvers

    FastBoundedLoader, FastLoader = _WithLibyaml, _PlainWithLibyaml
