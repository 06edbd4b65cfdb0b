"""What neither a run nor the harness can mend: a full disk, a database that can't be written."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from harness.errors import StoreError
from harness.paths import home

FULL = {errno.ENOSPC, errno.EDQUOT}
BROKEN = {errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE}
UNWRITTEN = ("PytorchStreamWriter failed", "inline_container")
"""What PyTorch says where a file could not be written, whatever kept it from that."""


def outage(error: BaseException) -> str | None:
    """What has to be mended before any run can go on here; None for a failure of another kind."""
    return next((told for each in _chain(error) if (told := _outage(each))), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        yield found
        found = found.__cause__ or found.__context__


def _outage(error: BaseException) -> str | None:
    if isinstance(error, StoreError):
        return str(error)
    if isinstance(error, OSError) and error.errno in BROKEN | FULL:
        where = error.filename or home()
        return f"{where}: {_no_room()}" if error.errno in FULL else f"{where}: {error.strerror}"
    text = str(error)
    if "No space left on device" in text:  # safetensors' own error
        return f"{home()}: {_no_room()}"
    if isinstance(error, RuntimeError) and any(words in text for words in UNWRITTEN):
        return f"{home()} could not be written to: {_no_room()}"
    return None


def _no_room() -> str:
    return "the disk is full; make room, or move it and point $HARNESS_HOME there"
