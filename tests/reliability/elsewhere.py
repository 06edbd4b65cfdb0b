"""What makes a process on this machine one of another host, or an impatient one.

`$AS_HOST`: the host's name; `$LEASE` and `$BEAT`: seconds, instead of three minutes and ten seconds.
"""

from __future__ import annotations

import os
import socket


def install() -> None:
    """Does so for this process."""
    from harness.pipeline import workers
    from harness.schedule import heart

    if "AS_HOST" in os.environ:
        socket.gethostname = lambda: os.environ["AS_HOST"]
    workers.LEASE_SECONDS = float(os.environ.get("LEASE", workers.LEASE_SECONDS))
    heart.BEAT_SECONDS = float(os.environ.get("BEAT", heart.BEAT_SECONDS))
