"""Values of one statement, as many at a time as every database takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
CHUNK = 500
"""SQLite's oldest limit of values in a statement is 999."""


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values in their order, in parts of at most CHUNK."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))
