"""Where things lie: built-in files, the user's home for artefacts, and every file that a run writes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def builtin_dir(name: str) -> Path:
    """The installed copy of a top-level folder (`adapters`, `experiments`), or the checkout's own."""
    installed = PACKAGE / "_builtin" / name
    return installed if installed.is_dir() else PACKAGE.parent / name


def home() -> Path:
    """`$HARNESS_HOME`, else `.harness` in the current directory: adapters, checkpoints, logs, data."""
    return Path(os.environ.get("HARNESS_HOME") or ".harness").expanduser().absolute()


def cache_dir() -> Path:
    """Where converted base models, and what was measured for estimates, are kept for every project of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HARNESS_CACHE") or Path(base) / "peft-harness").expanduser().absolute()


def data_roots() -> tuple[Path, ...]:
    """The folders searched for benchmark data: `$HARNESS_DATA` (a list like PATH), then `home()/data`."""
    named = [Path(p).expanduser().absolute() for p in os.environ.get("HARNESS_DATA", "").split(os.pathsep) if p]
    return (*named, home() / "data")


def downloads() -> Path:
    """Where fetched data goes: the first folder of `$HARNESS_DATA` that can be written to, else `home()/data`."""
    roots = data_roots()
    return next((root for root in roots if _writable(root)), roots[-1])


def _writable(folder: Path) -> bool:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK)


def database_url(named: str | None = None) -> str:
    """The results database: `named`, else `$HARNESS_DB`, else `results.db` here; a plain file name means SQLite."""
    found = named or os.environ.get("HARNESS_DB") or "results.db"
    return found if "://" in found else f"sqlite:///{found}"


@dataclass(frozen=True)
class RunPaths:
    """Every file name that one run writes, under `root` (by default `home()`)."""

    root: Path
    train_id: str
    run_id: str

    @property
    def adapter(self) -> Path:
        """The trained weights in PEFT's format (a whole model for full fine-tuning)."""
        return self.root / "adapters" / self.train_id

    @property
    def checkpoints(self) -> Path:
        """The trainer's working directory; removed once the training is recorded, or has diverged."""
        return self.root / "work" / self.train_id

    @property
    def lock(self) -> Path:
        """Held by the worker that trains or loads these weights, whichever of their runs it does."""
        return self.root / "locks" / self.train_id

    @property
    def log(self) -> Path:
        """What the libraries print while the run is trained and scored."""
        return self.root / "logs" / f"{self.run_id}.log"
