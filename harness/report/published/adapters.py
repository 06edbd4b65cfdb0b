"""Which of our adapters a published row is about: the same method with the same parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from harness.adapters.method import load_method
from harness.adapters.param import MULTIPLE, Param
from harness.catalog.architectures import is_letters
from harness.paths import builtin_dir
from harness.spec.run import AdapterRef
from harness.store.published.records import PublishedRow

RECIPE = {"dropout"}
"""Parameters that the recipe tells, not the row."""

Difference = tuple[str, Any, Any]
"""A parameter, ours, and the published one."""


def same_adapter(row: PublishedRow, ours: AdapterRef) -> bool:
    """Whether ours has the row's method and parameters; of a mixture, the same parts.

    What a row that tells parameters does not name is as the method has it by default: it is about no variant that it
    does not mention.
    """
    return differences(row, ours) == ()


def differences(row: PublishedRow, ours: AdapterRef) -> tuple[Difference, ...] | None:
    """The parameters in which ours is another adapter; None for another method, or a mixture of other parts."""
    if ours.method != row.method or ours.loads is not None:
        return None
    if row.adapter is None:
        return ()
    if "mixed" not in row.adapter:
        return _differences(row.adapter, ours)
    entries, parts = row.adapter["mixed"], ours.parts
    same = len(entries) == len(parts) and all(any(_is(entry, part) for part in parts) for entry in entries)
    return () if same else None


def _is(entry: Mapping[str, Any], ours: AdapterRef) -> bool:
    return ours.method == entry["method"] and not _differences(entry, ours)


def _differences(entry: Mapping[str, Any], ours: AdapterRef) -> tuple[Difference, ...]:
    params = _params(entry["method"])
    untold = {name: param.default for name, param in params.items() if name in ours.params and name not in RECIPE}
    theirs = _followed({name: value for name, value in (untold | entry).items() if name != "method"}, params)
    own = _followed(ours.params, params)
    return tuple(
        (name, own.get(name), _plain(value, theirs))
        for name, value in theirs.items()
        if name not in own or _plain(value, theirs) != _plain(own[name], own)
    )


@lru_cache
def _params(method: str) -> dict[str, Param]:
    """Those of the method that we ship; none of a method that we don't."""
    file = builtin_dir("adapters") / f"{method}.yaml"
    return load_method(file).params if file.exists() else {}


def _followed(values: Mapping[str, Any], params: Mapping[str, Param]) -> dict[str, Any]:
    """The values, with those that are null and follow another one in its place."""
    follows = {name: param.follows for name, param in params.items() if param.follows}
    return {name: values.get(follows.get(name)) if value is None else value for name, value in values.items()}


def _plain(value: Any, others: Mapping[str, Any]) -> Any:
    """A value without what may be written in several ways: a multiple (`2r`), the order of target letters."""
    if is_letters(value):
        return frozenset(value)
    multiple = MULTIPLE.match(value) if isinstance(value, str) else None
    if multiple and isinstance(others.get(multiple[2]), (int, float)):
        return float(multiple[1] or 1) * others[multiple[2]]
    return value
