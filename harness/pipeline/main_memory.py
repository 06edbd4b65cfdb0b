"""The main memory that this process may use, found without importing torch."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

MOUNT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
"""Which control groups this process is in: a line `number:controllers:path` for each hierarchy."""
SECOND, FIRST = (
    ("memory.max", "memory.current", "inactive_file"),
    (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
"""A group's files for its limit and its use, and what in its `memory.stat` is given back when room is short: of the
second version of control groups and of the first."""


def total() -> int:
    """Bytes of the machine, or of the container or batch job that limits this process to fewer."""
    return min(psutil.virtual_memory().total, *(limit for limit, _ in _limits()), sys.maxsize)


def available() -> int:
    """Bytes that are free now, of the machine and of every group that limits this process."""
    return min(psutil.virtual_memory().available, *(max(0, limit - used) for limit, used in _limits()), sys.maxsize)


def is_shared_with_gpu() -> bool:
    """Whether this is a machine of Apple's whose GPU has no memory of its own."""
    return sys.platform == "darwin" and platform.machine() == "arm64"


def _limits() -> Iterator[tuple[int, int]]:
    """The limit of each group that has one, and what of it is used and can't be given back."""
    for folder, (limit, use, spare) in _groups():
        most, used = _number(folder / limit), _number(folder / use)
        if most is not None:
            yield most, max(0, (used or 0) - _spare(folder / "memory.stat", spare))


def _groups() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """This process's groups and those above them; in a container the mount's top is its own group."""
    for line in _text(OWN).splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            top, files = MOUNT / "memory", FIRST
        elif not controllers:
            top, files = MOUNT, SECOND
        else:
            continue
        own = top / path.lstrip("/")
        yield from ((folder, files) for folder in (own, *own.parents) if folder.is_relative_to(top))


def _spare(stat: Path, name: str) -> int:
    lines = (line.split() for line in _text(stat).splitlines())
    return next((int(line[1]) for line in lines if line[0] == name), 0)


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
