"""Bringing one address's bytes over HTTP, going on where the connection broke off."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import closing
from io import FileIO
from typing import TYPE_CHECKING

from harness.errors import PrerequisiteError

if TYPE_CHECKING:
    from requests import Response

ATTEMPTS = 5
"""So many times in a row without a single new byte, and it is given up."""
TIMEOUT = (10, 60)
"""Seconds to connect, and between two pieces."""
CHUNK = 1 << 14
"""A piece; of a broken connection, less than one is lost."""
BUSY = (408, 425, 429)

Listener = Callable[[int, int | None], None]
"""Is told the bytes that are there, and how many there will be, where that is known."""


class _Again(Exception):
    """The transfer stopped for a reason that may pass."""


def transfer(url: str, file: FileIO, listen: Listener, pause: Callable[[float], None] = time.sleep) -> None:
    """Completes an unbuffered file, which may hold a first part, with what the address gives.

    Server errors, time-outs and broken connections are tried again after 1, 2, 4, ... seconds.
    Raises PrerequisiteError where the address has no such file or can't be reached, OSError where the disk is full.
    """
    failures, version = 0, ""
    while True:
        before = _size(file)
        try:
            with closing(_ask(url, before, version)) as answer:
                version = answer.headers.get("ETag", "").strip()
                _take(answer, file, listen)
            return
        except _Again as error:
            failures = failures + 1 if _size(file) <= before else 1
            if failures == ATTEMPTS:
                raise PrerequisiteError(f"{url} can't be had: {error}, {ATTEMPTS} times in a row") from None
            pause(2 ** (failures - 1))


def _ask(url: str, start: int, version: str) -> Response:
    """The answer to a request for the bytes from `start`, of the version whose first part is there."""
    import requests

    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    if start and version and not version.startswith("W/"):
        headers["If-Range"] = version
    try:
        return requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as error:
        cause = _innermost(error)
        if isinstance(cause, socket.gaierror):
            raise PrerequisiteError(
                f"{url} can't be had: its host can't be found ({cause.strerror}); are you online?"
            ) from None
        if isinstance(error, requests.exceptions.SSLError):
            raise PrerequisiteError(f"{url} can't be had: no secure connection ({cause})") from None
        raise _Again(f"no connection ({_words(cause)})") from None
    except requests.RequestException as error:
        raise PrerequisiteError(f"{url} can't be had: {_words(_innermost(error))}") from None


def _take(answer: Response, file: FileIO, listen: Listener) -> None:
    import requests

    _check_status(answer, file)
    there = _size(file)
    if answer.status_code == 416 or (answer.status_code == 206 and not _continues(answer, there)):
        file.truncate(0)
        raise _Again("the server has other bytes than the part that is here")
    if answer.status_code == 200 and there:
        file.truncate(0)
        there = 0
    length = answer.headers.get("Content-Length", "")
    total = there + int(length) if length.isdigit() else None
    _check_space(file, total, there)
    listen(there, total)
    try:
        for chunk in answer.iter_content(CHUNK):
            _write(file, chunk)
            there += len(chunk)
            listen(there, total)
    except requests.RequestException as error:
        raise _Again(f"the connection broke off ({_words(_innermost(error))})") from None
    if total is not None and there < total:
        raise _Again("the connection broke off")


def _check_status(answer: Response, file: FileIO) -> None:
    status = answer.status_code
    if status >= 500 or status in BUSY:
        raise _Again(f"the server says {status} {answer.reason}")
    if status not in (200, 206, 416):
        raise PrerequisiteError(f"{answer.url} is not to be had: the server says {status} {answer.reason}")


def _continues(answer: Response, start: int) -> bool:
    """Whether a part begins where the file ends (RFC 9110, section 14.4)."""
    return answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _check_space(file: FileIO, total: int | None, there: int) -> None:
    folder = os.path.dirname(os.fspath(file.name))
    free = shutil.disk_usage(folder).free
    if total is not None and total - there > free:
        raise OSError(errno.ENOSPC, f"{free:,} bytes are free, {total - there:,} are needed", folder)


def _write(file: FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _size(file: FileIO) -> int:
    return os.fstat(file.fileno()).st_size


def _innermost(error: BaseException) -> BaseException:
    """The cause without the libraries' wrapping."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _words(cause: BaseException) -> str:
    return " ".join(str(cause).split()) or type(cause).__name__
