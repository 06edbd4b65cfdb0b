"""What a training does beside training: it measures, reports and stops softly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import nn
from torch.nn.utils import get_total_norm
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from harness.errors import RunError

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
