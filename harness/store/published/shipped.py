"""The published numbers that this version brings."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import yaml

from harness.paths import PACKAGE
from harness.store.published.records import Publication

FOLDER = PACKAGE / "report" / "published"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast where libyaml is there, as in every wheel."""


@lru_cache
def publications() -> tuple[Publication, ...]:
    """Everything that this version brings of published numbers, by file name.

    What a user could write wrongly is told by harness/report/published/read.py; a test holds our files to it.
    """
    return tuple(_read(path) for path in files())


def files() -> list[Path]:
    """The files that hold them, by name."""
    return sorted(FOLDER.glob("*.yaml"))


@lru_cache
def digest() -> str:
    """SHA-256 of the files' names and contents, in hex digits."""
    found = hashlib.sha256()
    for path in files():
        found.update(hashlib.sha256(path.name.encode()).digest() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _read(path: Path) -> Publication:
    return Publication.model_validate(yaml.load(path.read_bytes(), LOADER))  # noqa: S506 - it is a safe loader
