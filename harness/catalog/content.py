"""Telling a file from another by what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.catalog.files import git_id_of, sha256_of


@dataclass(frozen=True)
class Content:
    """What a file must hold, as far as it is known: its SHA-256, or the id that git gives it."""

    sha256: str | None = None
    git: str | None = None

    @property
    def known(self) -> bool:
        """Whether a file can be told from another."""
        return bool(self.sha256 or self.git)

    def fault(self, path: Path) -> str | None:
        """How the file's content is another: `SHA-256 0123..., expected 4567...`; None where it is not."""
        for name, expected, found in (("SHA-256", self.sha256, sha256_of), ("git id", self.git, git_id_of)):
            if expected:
                got = found(path)
                return None if got == expected else f"{name} {got[:12]}..., expected {expected[:12]}..."
        return None
