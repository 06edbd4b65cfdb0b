"""What a training step costs: its time and what it keeps for the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import torch
from contenders import Adapter, make_trainee
from measure import Timing, alternate
from rows import BASELINES, Row, Setting
from saved import held_bytes, saved_bytes
from torch import nn


def measure_steps(
    setting: Setting, base: nn.Module, adapter: Adapter, contenders: list[str], ids: torch.Tensor, timing: Timing,
    optimizer: bool,
) -> Iterator[Row]:  # fmt: skip
    """Times forward with loss, backward and zero_grad, with `optimizer` also AdamW's step."""
    models = {name: make_trainee(name, base, adapter, timing.seed) for name in contenders}
    steps = {name: make_step(model, ids, optimizer) for name, model in models.items()}
    times = alternate(steps, timing)
    for name in contenders:
        ratio, quartiles, interval = times.ratio(name, BASELINES[setting.measure])
        seconds = times.median(name)
        peak = None if timing.device == "cpu" else peak_bytes(models[name], steps[name])
        yield Row(setting, name, seconds, ratio, quartiles, interval, ids.numel() / seconds, peak)


def measure_saved(
    setting: Setting, base: nn.Module, adapter: Adapter, contenders: list[str], ids: torch.Tensor, timing: Timing
) -> Iterator[Row]:
    """Counts the bytes that a forward pass leaves for the backward pass."""
    saved, held = {}, {}
    for name in contenders:
        model = make_trainee(name, base, adapter, timing.seed)
        # What is made once, such as a kernel's workspace, is no part of the count.
        make_step(model, ids, optimizer=False)()
        saved[name] = saved_bytes(model, lambda model=model: loss_of(model, ids))
        held[name] = held_bytes(lambda model=model: loss_of(model, ids), timing.device)
    for name in contenders:
        ratio = saved[name] / saved[BASELINES[setting.measure]]
        yield Row(setting, name, saved[name], ratio, held_bytes=held[name])


def loss_of(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Returns the mean next-token loss. ids: (batch, seq)."""
    return model(input_ids=ids, labels=ids).loss


def make_step(model: nn.Module, ids: torch.Tensor, optimizer: bool) -> Callable[[], None]:
    """Returns a function that makes one training step."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    adamw = torch.optim.AdamW(trainable, lr=1e-4) if optimizer and trainable else None

    def step() -> None:
        loss_of(model, ids).backward()
        if adamw:
            adamw.step()
        model.zero_grad(set_to_none=True)

    return step


def peak_bytes(model: nn.Module, step: Callable[[], None]) -> int:
    """Returns the GPU memory that a step needs: the model's own, and the most that the step adds to it."""
    resident = {t.untyped_storage().data_ptr(): t for t in chain(model.parameters(), model.buffers())}
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    added = torch.cuda.max_memory_allocated() - before
    return added + sum(tensor.untyped_storage().nbytes() for tensor in resident.values())
