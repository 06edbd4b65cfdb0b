"""Where and with what a run was made."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.paths import PACKAGE

PACKAGES = (
    "peft-harness", "torch", "transformers", "peft", "trl", "accelerate", "lm-eval", "datasets", "tokenizers",
    "safetensors", "bitsandbytes",
)  # fmt: skip
RESULTS = ":(top,exclude)*.db"
"""A tracked results database changes with every run; the code doesn't."""


def provenance() -> dict[str, Any]:
    """Package versions, git state, and hardware of this process."""
    return {"packages": _packages(), "git": _git(), "python": platform.python_version(), "hardware": _hardware()}


def _packages() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@lru_cache
def _git() -> dict[str, Any] | None:
    """Commit and dirty flag of the harness's checkout, else of the current directory's; None outside of both."""
    for folder in (PACKAGE.parent, Path.cwd()):
        commit = _git_says(folder, "rev-parse", "HEAD")
        tracked = _git_says(folder, "ls-files", str(folder / "pyproject.toml"))
        if commit and (tracked or folder == Path.cwd()):
            changed = _git_says(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", RESULTS)
            return {"commit": commit, "dirty": None if changed is None else bool(changed)}
    return None


def _git_says(folder: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _hardware() -> dict[str, Any]:
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpus,
        "cuda": torch.version.cuda,
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
