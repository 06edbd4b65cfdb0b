"""What a process that is spawned here inherits."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def hidden_from_signals() -> Iterator[None]:
    """A process that is begun here hears no Ctrl-C and no SIGTERM, not even before it can say so; we hear it later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def pinned(gpu: str | None) -> Iterator[None]:
    """A process that is begun here sees this GPU alone."""
    if gpu is None:
        yield
        return
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


@contextmanager
def without_script() -> Iterator[None]:
    """A process that is begun here does not run the caller's script once more, as multiprocessing would have it do.

    It needs nothing of that, and a script that lacks `if __name__ == "__main__"` would call `harness.run` in it.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
