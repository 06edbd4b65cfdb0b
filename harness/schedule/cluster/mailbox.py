"""What a job on a cluster tells the command that submitted it, and the request to stop: files in a folder."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from harness.pipeline.execute import Result
from harness.store.records import Claim

KINDS = {"claimed": Claim, "done": Result}


class Mailbox:
    """Of one job; a `Stop`. folder: on a file system that the job and the command both see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told, self._stop = folder / "told.jsonl", folder / "stop"
        self._read = 0

    def send(self, message: tuple[str, Any]) -> None:
        """Tells the command; a folder that is gone with the command is none of the run's business."""
        kind, content = message
        plain = asdict(content) if is_dataclass(content) and not isinstance(content, type) else content
        try:
            with open(self._told, "a", encoding="utf-8") as file:
                file.write(json.dumps([kind, plain], default=str) + "\n")
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
        return [_message(*json.loads(line)) for line in whole.splitlines()]

    def ask_to_stop(self) -> None:
        """Has the job end softly."""
        self._stop.touch()

    def is_set(self) -> bool:
        """Whether the job is to end softly."""
        return self._stop.exists()


def _message(kind: str, content: Any) -> tuple[str, Any]:
    return kind, KINDS[kind](**content) if kind in KINDS else content
