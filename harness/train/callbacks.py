"""What a training does beside training: it measures, reports, stops softly and marks its checkpoints."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn
from torch.nn.utils import get_total_norm
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from harness.errors import RunError

COMPLETE = "COMPLETE"
"""The file that says that a checkpoint is whole. It is written last and lists what must be there."""

BLOCK = 2**20
"""Bytes that are read at once."""

LAST_LOSSES = 3
"""So many of the losses before it a divergence is told with."""

Emit = Callable[[dict[str, Any]], None]


@dataclass
class Meter:
    """What a training has cost so far, the part before a resumed checkpoint included.

    seconds: wall time of the optimizer steps, without loading, evaluation and saving; tokens: non-padding
    tokens trained on; peak_memory_bytes: CUDA's peak allocation, else the process's peak resident size.
    """

    device: torch.device
    seconds: float = 0.0
    tokens: int = 0
    peak_memory_bytes: int = 0

    def watch(self, model: nn.Module) -> RemovableHandle:
        """Counts the tokens of every training batch until the handle is removed."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        return model.register_forward_pre_hook(self._count, with_kwargs=True)

    def sample_memory(self) -> None:
        """Raises the peak to what is used now (CUDA keeps its own peak)."""
        cuda = self.device.type == "cuda"
        used = torch.cuda.max_memory_allocated(self.device) if cuda else psutil.Process().memory_info().rss
        self.peak_memory_bytes = max(self.peak_memory_bytes, used)

    def _count(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if model.training:
            self.tokens += int(kwargs["attention_mask"].sum())


class MeterCallback(TrainerCallback):
    """Times the optimizer steps and samples memory."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.started = 0.0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.started = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.meter.seconds += time.perf_counter() - self.started
        self.meter.sample_memory()


class ProgressCallback(TrainerCallback):
    """Emits `{event: step, step, steps, loss, tokens, tokens_per_second}` with every logged loss."""

    def __init__(self, emit: Emit, meter: Meter) -> None:
        self.emit, self.meter = emit, meter

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if logs and "loss" in logs:
            meter = self.meter
            rate = meter.tokens / meter.seconds if meter.seconds else 0.0
            event = {"event": "step", "step": state.global_step, "steps": state.max_steps, "loss": logs["loss"]}
            self.emit({**event, "tokens": meter.tokens, "tokens_per_second": rate})


class DivergenceCallback(TrainerCallback):
    """Ends a run whose loss or gradient is no longer finite, before such a gradient reaches a weight.

    In float16 the trainer scales the loss, and an infinite gradient only makes it scale less: there, the loss counts.
    """

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module, **kwargs: Any
    ) -> None:
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        largest = float(get_total_norm(gradients, math.inf)) if gradients and not args.fp16 else 0.0
        if not math.isfinite(largest):
            raise _diverged("the gradient", largest, state.global_step + 1, state)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        for name in ("loss", "eval_loss"):
            value = (logs or {}).get(name, 0.0)
            if not math.isfinite(value):
                raise _diverged(name, value, state.global_step, state)


def _diverged(what: str, value: float, step: int, state: TrainerState) -> RunError:
    losses = [line["loss"] for line in state.log_history if math.isfinite(line.get("loss", math.nan))]
    before = ", ".join(f"{loss:.4g}" for loss in losses[-LAST_LOSSES:]) or "none"
    return RunError(
        "diverged", f"{what} is {value} at step {step} (last losses: {before}); a lower learning rate may help"
    )


class StopCallback(TrainerCallback):
    """Stops at the end of a step when asked to; `saves` says whether a checkpoint is written first."""

    def __init__(self, should_stop: Callable[[], bool], saves: bool) -> None:
        self.should_stop, self.saves = should_stop, saves
        self.stopped = False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step < state.max_steps and self.should_stop():
            self.stopped = True
            control.should_training_stop = True
            control.should_save = self.saves


class CheckpointCallback(TrainerCallback):
    """Asks for a checkpoint every `every` steps (0: never) and marks each that is whole."""

    def __init__(self, every: int, train_id: str, meter: Meter) -> None:
        self.every, self.train_id, self.meter = every, train_id, meter

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.every and state.global_step % self.every == 0 and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        spent = {"seconds": self.meter.seconds, "tokens": self.meter.tokens, "peak": self.meter.peak_memory_bytes}
        mark = {"train_id": self.train_id, "steps": state.max_steps, "files": _digests(folder), **spent}
        draft = folder / f".{COMPLETE}"
        draft.write_text(json.dumps(mark), encoding="utf-8")
        draft.replace(folder / COMPLETE)


def last_complete(folder: Path, train_id: str, steps: int) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint of this training that is whole, with its mark; None where there is none.

    A checkpoint that lacks a file or holds a shortened or changed one is not whole: the trainer would resume from it
    without a word and end elsewhere.
    """
    marks = sorted(folder.glob(f"checkpoint-*/{COMPLETE}"), key=lambda mark: int(mark.parent.name.split("-")[1]))
    for path in reversed(marks):
        mark = _read(path)
        same = (mark.get("train_id"), mark.get("steps")) == (train_id, steps)
        if same and mark["files"].items() <= _digests(path.parent).items():
            return path.parent, mark
    return None


def _read(mark: Path) -> dict[str, Any]:
    """A mark; an empty one where it was torn itself."""
    try:
        return json.loads(mark.read_text(encoding="utf-8"))
    except ValueError:
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
