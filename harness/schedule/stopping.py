"""Ctrl-C and SIGTERM: softly first, at once the second time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from harness.schedule.executor import Executor

ONE_KEY_SECONDS = 0.3
"""Signals so close together are one: a program may pass on a Ctrl-C that the terminal gave to both."""
SOFTLY = b"\nstopping: the step in hand ends and is kept in a checkpoint; a second Ctrl-C stops at once\n"


@contextmanager
def soft_stop(executor: Executor) -> Iterator[list[int]]:
    """Within, a signal ends the jobs softly, and the second one, which raises KeyboardInterrupt, at once.

    Yields the signals received. The executor is closed at the end, whatever happens, and no signal disturbs that.
    """
    received: list[int] = []
    first = 0.0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not received:
            first = time.monotonic()
            with suppress(OSError):
                os.write(2, SOFTLY)
        elif time.monotonic() - first < ONE_KEY_SECONDS:
            return
        received.append(number)
        executor.stop()
        if len(received) == 2:
            raise KeyboardInterrupt

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: a notebook's own, say
        before = {}
    try:
        yield received
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        executor.close()
        for number, handler in before.items():
            signal.signal(number, handler)
