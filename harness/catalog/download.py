"""Downloading a file: kept only when it is whole and what was asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from harness.catalog.content import Content
from harness.catalog.held_file import held
from harness.catalog.transfer import Listener, transfer
from harness.errors import PrerequisiteError


def ignore(there: int, total: int | None) -> None:
    """A listener that doesn't care."""


def download(
    url: str,
    target: Path,
    content: Content = Content(),
    listen: Listener = ignore,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Brings a file from its address to `target`, which appears at once and whole, or not at all.

    What an interrupted download left is used where `content` can prove the result; a second process waits
    for the first. pause: sleeps for so many seconds between attempts.
    Raises PrerequisiteError, which says what to do, where the file can't be had, is another, or can't be written.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with held(part) as file:
            if not target.exists():
                _complete(url, target, content, file, listen, pause)
    except PrerequisiteError as error:
        raise PrerequisiteError(f"{error}. Get it by other means and put it there as {target}") from None
    except OSError as error:
        raise PrerequisiteError(f"{error.filename or target} can't be written: {error.strerror}") from None


def _complete(
    url: str, target: Path, content: Content, file: FileIO, listen: Listener, pause: Callable[[float], None]
) -> None:
    part = Path(os.fspath(file.name))
    if not content.known:
        file.truncate(0)
    resumed = part.stat().st_size > 0
    try:
        transfer(url, file, listen, pause)
        if resumed and content.fault(part):  # what was left was no part of this file
            file.truncate(0)
            transfer(url, file, listen, pause)
        if fault := content.fault(part):
            raise PrerequisiteError(f"{url} gave another file than expected ({fault}); it was not kept")
        os.replace(part, target)
    except (PrerequisiteError, OSError):
        part.unlink(missing_ok=True)
        raise
    except BaseException:
        if not content.known:
            part.unlink(missing_ok=True)
        raise
