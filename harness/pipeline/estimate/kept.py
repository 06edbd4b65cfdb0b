"""What was found out once and holds for ever after, in a file of this user's cache."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.paths import cache_dir

MOST = 5000
"""Entries of a file; the oldest go first."""


class Kept:
    """Findings by a key of JSON values. A file that can't be read holds none; one that can't be written keeps none."""

    def __init__(self, name: str) -> None:
        self._path = cache_dir() / f"{name}.json"
        self._known: dict[str, Any] = _read(self._path)
        self._fresh: dict[str, Any] = {}

    def get(self, key: Any) -> Any:
        """The finding, None where there is none."""
        return self._known.get(_digest(key))

    def put(self, key: Any, finding: Any) -> None:
        """Remembers a finding, for later processes from `save` on."""
        self._known[_digest(key)] = self._fresh[_digest(key)] = finding

    def save(self) -> None:
        """Writes what is new beside what others have written since."""
        if not self._fresh:
            return
        merged = _read(self._path) | self._fresh
        text = json.dumps(dict(list(merged.items())[-MOST:]))
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(prefix=f".{self._path.name}-", dir=self._path.parent)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                os.replace(draft, self._path)
            finally:
                Path(draft).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(key: Any) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
