"""What nvidia-smi tells of GPUs, without importing torch."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

FIELDS = "index,uuid,name,memory.total,memory.free"


@dataclass(frozen=True)
class Gpu:
    """A GPU's model, and the bytes of its memory in all and free; None where it does not tell."""

    model: str
    total: int | None
    free: int | None


def visible_gpus() -> tuple[str, ...]:
    """The CUDA devices that may be used, found without importing torch."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        named = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
        return tuple(name for name in named if name.strip() not in ("", "-1"))
    if shutil.which("nvidia-smi") is None:
        return ()
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    found = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return tuple(str(index) for index, _ in enumerate(found))


def gpus(visible: Sequence[str]) -> tuple[Gpu | None, ...]:
    """By the names that CUDA_VISIBLE_DEVICES may have, an index or the beginning of an id; None: it is not there."""
    if not visible or shutil.which("nvidia-smi") is None:
        return (None,) * len(visible)
    asked = ["nvidia-smi", f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    rows = [[value.strip() for value in line.split(",")] for line in listed.splitlines()]
    known = [(index, uuid, Gpu(model, _bytes(total), _bytes(free))) for index, uuid, model, total, free in rows]
    named = (
        (gpu for index, uuid, gpu in known if name.strip() == index or uuid.startswith(name.strip()))
        for name in visible
    )
    return tuple(next(found, None) for found in named)


def _bytes(mebibytes: str) -> int | None:
    return int(mebibytes) * 2**20 if mebibytes.isdigit() else None
