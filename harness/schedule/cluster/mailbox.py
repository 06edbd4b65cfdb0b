"""What a job on a cluster and the command that submitted it tell each other: files in a folder."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from harness.pipeline.execute import Result
from harness.store.records import Claim

KINDS = {"claimed": Claim, "done": Result}
OLD_SECONDS = 3600.0
"""A command that lives has long read what a job said so long ago."""


class Mailbox:
    """Of one job; a `Stop`. folder: on a file system that the job and the command both see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told, self._stop, self._database = folder / "told.jsonl", folder / "stop", folder / "database"
        self._read = 0

    @classmethod
    def new(cls, boxes: Path, run_id: str, database: str) -> Mailbox:
        """One for a job to be, which nobody else may read: the database's URL, maybe with a password, lies in it."""
        boxes.mkdir(parents=True, exist_ok=True)
        box = cls(Path(tempfile.mkdtemp(prefix=f"{run_id}-", dir=boxes)))
        box._database.write_text(database, encoding="utf-8")
        box._told.touch()  # NFS remembers for a while that a file was not there
        return box

    def database(self) -> str | None:
        """The database's URL; None where the mailbox is gone, because nobody wants the run of this job any more."""
        try:
            return self._database.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def send(self, message: tuple[str, Any]) -> None:
        """Tells the command; a folder that is gone with the command is none of the run's business."""
        kind, content = message
        plain = asdict(content) if is_dataclass(content) and not isinstance(content, type) else content
        try:
            with open(self._told, "a", encoding="utf-8") as file:  # a line may have been left in two by a node's death
                file.write("\n" + json.dumps([kind, plain], default=str) + "\n")
        except OSError:
            return

    def news(self) -> list[tuple[str, Any]]:
        """What the job has told since it was last asked: `claimed`, `event` and `done`, as a worker's messages are."""
        try:
            with open(self._told, "rb") as file:
                file.seek(self._read)
                whole, _, _ = file.read().rpartition(b"\n")
        except OSError:  # nothing yet
            return []
        self._read += len(whole) + 1 if whole else 0
        return list(_messages(whole))

    def ask_to_stop(self) -> None:
        """Has the job end softly. One that is gone, or whose disk is full, can't hear of it."""
        with suppress(OSError):
            self._stop.touch()

    def is_set(self) -> bool:
        """Whether the job is to end softly."""
        return self._stop.exists()

    def remove(self) -> None:
        """Takes all of it away."""
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_old(boxes: Path) -> None:
    """Removes the mailboxes of jobs that are done and whose command did not live to read it."""
    for told in boxes.glob("*/told.jsonl"):
        box = Mailbox(told.parent)
        with suppress(OSError):  # another command does the same
            if time.time() - told.stat().st_mtime > OLD_SECONDS and any(kind == "done" for kind, _ in box.news()):
                box.remove()


def _messages(lines: bytes) -> Iterator[tuple[str, Any]]:
    """The whole ones that are ours: a node's death may leave half a line, another version other fields."""
    for line in lines.splitlines():
        with suppress(ValueError, TypeError):
            kind, content = json.loads(line)
            yield kind, KINDS[kind](**content) if kind in KINDS else content
