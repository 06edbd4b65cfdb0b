"""Samples as compressed columns: ten million of them are a file that can be copied, and read in seconds."""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections.abc import Callable, Sequence
from typing import Any

BYTES, DOUBLES = b"B", b"d"
"""The marks of outcomes that are all 0 or 1, one byte each, and of any others."""


def pack_outcomes(values: Sequence[float]) -> bytes:
    """Outcomes: a mark of the type, then the compressed values (little-endian)."""
    mark = BYTES if all(value in (0.0, 1.0) for value in values) else DOUBLES
    held = array("B", map(int, values)) if mark == BYTES else array("d", values)
    return mark + zlib.compress(_little(held).tobytes())


def unpack_outcomes(packed: bytes) -> array[float] | array[int]:
    """What `pack_outcomes` took, as an array of bytes or of doubles."""
    held: array[Any] = array(packed[:1].decode())
    held.frombytes(zlib.decompress(packed[1:]))
    return _little(held)


def _little(held: array[Any]) -> array[Any]:
    if sys.byteorder == "big":
        held.byteswap()
    return held


def pack_list(values: Sequence[Any]) -> bytes:
    """A list of strings, numbers or None, as compressed JSON."""
    text = json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "backslashreplace"))  # as JSON writes half a character


def unpack_list(packed: bytes) -> list[Any]:
    """What `pack_list` took."""
    return json.loads(zlib.decompress(packed))


def same_packed(one: bytes, other: bytes, unpack: Callable[[bytes], Any]) -> bool:
    """Whether both hold the same values, however they were compressed; not where these can't be read."""
    if one == other:
        return True
    try:
        return unpack(one) == unpack(other)
    except (zlib.error, ValueError, TypeError):
        return False
