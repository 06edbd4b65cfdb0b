"""A file that one process at a time holds; one that dies holds nothing."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

POLL_SECONDS = 0.5


@contextmanager
def held(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[FileIO]:
    """The file, open for appending, while no other process holds it; removed afterwards if it is empty.

    waiting: called again and again while another process holds it; what it raises ends the waiting. The folder must
    be there.
    """
    while True:
        with open(path, "ab", buffering=0) as file:
            while not _taken(file):
                waiting()
                time.sleep(POLL_SECONDS)
            if not _is_still(path, file):
                continue
            try:
                yield file
            finally:
                if _is_still(path, file) and not path.stat().st_size:
                    path.unlink()
            return


def _taken(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, file: FileIO) -> bool:
    """Whether the path names this open file, not one that took its place."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
