"""Which of our adapters a published row is about: the same method with the parameters that the source tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.adapters.param import MULTIPLE
from harness.catalog.architectures import is_letters
from harness.spec.run import AdapterRef
from harness.store.published.records import PublishedRow


def same_adapter(row: PublishedRow, ours: AdapterRef) -> bool:
    """Whether ours has the row's method and every parameter that the row has; of a mixture, the same parts."""
    if ours.method != row.method or ours.loads is not None:
        return False
    if row.adapter is None:
        return True
    entries, parts = row.adapter.get("mixed") or [row.adapter], ours.parts or (ours,)
    return len(entries) == len(parts) and all(any(_same(entry, part) for part in parts) for entry in entries)


def _same(entry: Mapping[str, Any], ours: AdapterRef) -> bool:
    params = {name: value for name, value in entry.items() if name != "method"}
    return ours.method == entry["method"] and all(
        name in ours.params and _plain(value, entry) == _plain(ours.params[name], ours.params)
        for name, value in params.items()
    )


def _plain(value: Any, others: Mapping[str, Any]) -> Any:
    """A value without what may be written in several ways: a multiple (`2r`), the order of target letters."""
    if is_letters(value):
        return frozenset(value)
    multiple = MULTIPLE.match(value) if isinstance(value, str) else None
    if multiple and isinstance(others.get(multiple[2]), (int, float)):
        return float(multiple[1] or 1) * others[multiple[2]]
    return value
