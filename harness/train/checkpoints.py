"""A training's checkpoints: which are whole, and which are kept."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from harness.train.callbacks import Meter

COMPLETE = "COMPLETE"
"""The file that says that a checkpoint is whole. It is written last and lists what must be there."""
BLOCK = 2**20
"""Bytes that are read at once."""


class CheckpointCallback(TrainerCallback):
    """Asks for a checkpoint every `every` steps (0: never), marks each that is whole, and removes older ones.

    Kept are the newest and the best; where none is the best, the one before the newest. By their steps: by the time of
    a file, as transformers does it, a clock that is set back would remove the newest.
    """

    def __init__(self, every: int, train_id: str, meter: Meter) -> None:
        self.every, self.train_id, self.meter = every, train_id, meter

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.every and state.global_step % self.every == 0 and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        folder = checkpoint(Path(args.output_dir), state.global_step)
        spent = {"seconds": self.meter.seconds, "tokens": self.meter.tokens, "peak": self.meter.peak_memory_bytes}
        mark = {"train_id": self.train_id, "steps": state.max_steps, "files": _digests(folder), **spent}
        draft = folder / f".{COMPLETE}"
        draft.write_text(json.dumps(mark), encoding="utf-8")
        draft.replace(folder / COMPLETE)
        self._remove_older(folder, state.best_global_step if args.load_best_model_at_end else None)

    def _remove_older(self, newest: Path, best: int | None) -> None:
        others = [folder for folder in _by_step(newest.parent) if folder != newest]
        kept = checkpoint(newest.parent, best) if best else others[-1] if others else newest
        for folder in others:
            if folder != kept:
                shutil.rmtree(folder, ignore_errors=True)


def checkpoint(folder: Path, step: int) -> Path:
    """Where a training's checkpoint of this step lies."""
    return folder / f"checkpoint-{step}"


def last_complete(
    folder: Path, train_id: str, steps: int, keeps_best: bool = False
) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint of this training that is whole, with its mark; None where there is none.

    A checkpoint that lacks a file or holds a shortened or changed one is not whole: the trainer would resume from it
    without a word and end elsewhere. keeps_best: the best one until then, which ends the training, must be whole, too.
    """
    for path in reversed(_by_step(folder)):
        mark = _whole(path, train_id, steps)
        if mark is None:
            continue
        best = _read(path / TRAINER_STATE_NAME).get("best_global_step") if keeps_best else None
        if not best or _whole(checkpoint(folder, best), train_id, steps) is not None:
            return path, mark
    return None


def is_whole(path: Path, train_id: str, steps: int) -> bool:
    """Whether it is a checkpoint of this training as it was written."""
    return _whole(path, train_id, steps) is not None


def _by_step(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def _whole(path: Path, train_id: str, steps: int) -> dict[str, Any] | None:
    mark = _read(path / COMPLETE)
    same = (mark.get("train_id"), mark.get("steps")) == (train_id, steps)
    return mark if same and mark["files"].items() <= _digests(path).items() else None


def _read(file: Path) -> dict[str, Any]:
    """A JSON file; an empty one where it is missing or torn."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file: a disk that failed or lost its power may leave the right number of wrong bytes."""
    files = [file for file in folder.iterdir() if file.is_file() and not file.name.endswith(COMPLETE)]
    return {file.name: _digest(file) for file in files}


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
