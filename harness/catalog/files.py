"""Finding data files and identifying what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from harness.catalog.origins import origins
from harness.errors import PrerequisiteError
from harness.paths import PACKAGE, data_roots

EMBEDDED = "embedded:"
LAYOUTS = ("", "llm_adapters", "dataset", "ft-training_set")
"""Folders under a data root in which a benchmark's files are looked for, LLM-Adapters' own among them."""


def locate(location: str, name: str | None = None) -> Path:
    """The file that a catalog's location names: an absolute path, `embedded:...`, or one under a data root.

    name: what `harness data fetch` knows the file by, if not its location.
    Raises PrerequisiteError, which names the file, the command that gets it, and where to put it.
    """
    if location.startswith(EMBEDDED):
        return PACKAGE / "catalog" / location.removeprefix(EMBEDDED)
    if Path(location).is_absolute():
        if Path(location).is_file():
            return Path(location)
        raise PrerequisiteError(f"{location} is not there")
    roots = data_roots()
    for root in roots:
        for layout in LAYOUTS:
            candidate = root / layout / location
            if candidate.is_file():
                return candidate
    searched = ", ".join(map(str, roots))
    fetched = f"`harness data fetch {name or location}` gets it, or " if location in origins() else ""
    raise PrerequisiteError(
        f"{location} is in none of {searched}; {fetched}put it there or point $HARNESS_DATA at its folder"
    )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, computed once for each state of it."""
    stat = path.stat()
    return _sha256(str(path), stat.st_size, stat.st_mtime_ns)


def sha256_of_all(paths: Iterable[Path]) -> str:
    """One SHA-256 of several files: of their names and contents, in this order."""
    return hashlib.sha256("".join(f"{path.name}:{sha256_of(path)}\n" for path in paths).encode()).hexdigest()


def git_id_of(path: Path) -> str:
    """The id that git gives a file of this content: the SHA-1 of its length and its bytes."""
    stat = path.stat()
    return _git_id(str(path), stat.st_size, stat.st_mtime_ns)


@cache
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    return _digest(path, hashlib.sha256())


@cache
def _git_id(path: str, size: int, mtime_ns: int) -> str:
    return _digest(path, hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False))


def _digest(path: str, digest: hashlib._Hash) -> str:
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
