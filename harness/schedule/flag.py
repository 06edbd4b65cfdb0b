"""A bit that a process and its child share."""

from __future__ import annotations

from multiprocessing.context import SpawnContext
from typing import Any


class Flag:
    """Set and read without a lock, unlike multiprocessing's Event: a signal handler may do so at any moment."""

    def __init__(self, context: SpawnContext) -> None:
        self._bit: Any = context.RawValue("b", 0)

    def set(self) -> None:
        """On, for both."""
        self._bit.value = 1

    def clear(self) -> None:
        """Off, for both."""
        self._bit.value = 0

    def is_set(self) -> bool:
        """Whether it is on."""
        return bool(self._bit.value)
