"""Where the catalog's files come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import yaml

from harness.paths import PACKAGE


@dataclass(frozen=True)
class Origin:
    """A file's public address and, as `git`, the id that git gives its content there."""

    url: str
    git: str


@lru_cache
def origins() -> dict[str, Origin]:
    """The origin of every file of the catalog that has one, by its location (see `catalog.files.locate`)."""
    raw = yaml.safe_load((PACKAGE / "catalog" / "origins.yaml").read_text(encoding="utf-8"))
    return {
        location: Origin(f"{source['from']}/{file['path']}", file["git"])
        for source in raw
        for location, file in source["files"].items()
    }
