"""Who a worker is, and whether it still lives."""

from __future__ import annotations

import hashlib
import os
import socket
from functools import cache
from pathlib import Path
from uuid import getnode

import psutil

from harness.store.lease import LEASE_SECONDS
from harness.store.records import RunState

BEAT_SECONDS = 10.0
CLOCK_SECONDS = 2.0
"""How far a process's start, reckoned from the boot time, may wander."""


def worker_name(pid: int | None = None) -> str:
    """A name that no other process on any host shares: host, process id, the process's start, whose ids these are."""
    process = psutil.Process(pid or os.getpid())
    return f"{socket.gethostname()}:{process.pid}:{int(process.create_time())}:{_process_space()}"


def is_gone(state: RunState) -> bool:
    """Whether the worker of a running run is known to be dead: here at once, elsewhere after the lease."""
    if state.worker is None:
        return True
    host, _, rest = state.worker.partition(":")
    lives = _lives(rest) if host == socket.gethostname() else None
    if lives is not None:
        return not lives
    return state.beat_seconds_ago is not None and state.beat_seconds_ago > LEASE_SECONDS


@cache
def _process_space() -> str:
    """Within what process ids are unique: the boot of a machine and, on Linux, the container's namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return hashlib.sha256(f"{boot} {os.stat('/proc/self/ns/pid').st_ino}".encode()).hexdigest()[:8]
    except OSError:
        return f"{getnode():x}"


def _lives(rest: str) -> bool | None:
    """None where that can't be known: of another container or machine that is called as this one, and where a process
    has the number but another start: a later one, or a clock that was set since.
    """
    pid, started, *space = rest.split(":")
    if space and space[0] != _process_space():
        return None
    try:
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return True if abs(process.create_time() - int(started)) < CLOCK_SECONDS else None
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, ValueError):
        return None
