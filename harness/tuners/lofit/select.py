"""Takes a training through LoFiT's two phases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .config import LofitConfig
from .model import lofit_layers


class SelectHeads(TrainerCallback):
    """Trains the scales under their L1 penalty, then selects the heads and trains their offsets (paper, section 3).

    The penalty's gradient, `l1_lambda * sign(A)`, is what each step's gradients start from, in place of zero: so it is
    there once a step, whatever the loss of the trainer is and however many micro-batches it has, and is clipped with
    the rest. The logged loss is without it. At the selection the offsets take the scales' places in the optimizer,
    with no moments; the learning rate's schedule goes on.
    """

    def __init__(self) -> None:
        self.before: list[torch.Tensor] = []

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PeftModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Checks that the selection can come.

        Raises:
            ValueError: the training ends before it, or resumes from behind it with an adapter that still has scales.
            NotImplementedError: the training is distributed.
        """
        if args.world_size > 1:
            raise NotImplementedError("LoFiT trains in one process: its parameters change in the middle of training.")
        for adapter, _ in _scaled(model):
            at = _selection(model.peft_config[adapter], state)
            if not 0 < at < state.max_steps:
                raise ValueError(
                    f"LoFiT selects its heads after step {at}, which must be within the {state.max_steps} steps of "
                    "the training: afterwards the offsets are trained. Set `select_at`, or train longer."
                )
            if state.global_step >= at:
                raise ValueError(
                    f"LoFiT can't resume at step {state.global_step}: it selects its heads after step {at}, and the "
                    "checkpoint has none. It was made without the callback SelectHeads, or with another `select_at`."
                )

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PeftModel | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        **kwargs: Any,
    ) -> None:
        """Starts the gradients of the scales from the penalty's."""
        scaler = getattr(optimizer, "scaler", None)
        loss_scale = 1.0 if scaler is None else scaler.get_scale()
        for adapter, scale in _scaled(model):
            penalty = loss_scale * model.peft_config[adapter].l1_lambda * scale.detach().sign()
            scale.grad = penalty if scale.grad is None else scale.grad + penalty

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PeftModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Remembers the scales."""
        self.before = [scale.detach().clone() for _, scale in _scaled(model)]

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PeftModel | None = None,
        **kwargs: Any,
    ) -> None:
        """Shortens the step of the scales, and of nothing else that the optimizer trains, to `scale_rate` of it."""
        with torch.no_grad():
            for (adapter, scale), old in zip(_scaled(model), self.before, strict=True):
                scale.copy_(torch.lerp(old, scale, model.peft_config[adapter].scale_rate))
        self.before = []

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PeftModel | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        **kwargs: Any,
    ) -> None:
        """Selects the heads once the scales are trained, before this step's checkpoint is written."""
        for adapter in {adapter for adapter, _ in _scaled(model)}:
            if state.global_step == _selection(model.peft_config[adapter], state):
                layers = [layer for _, layer in lofit_layers(model) if adapter in layer.lofit_scale]
                scales = [layer.lofit_scale[adapter] for layer in layers]
                model.base_model.select_heads(adapter, torch.Generator().manual_seed(args.seed))
                _swap(optimizer, scales, [layer.lofit_offset[adapter] for layer in layers])


def _selection(config: LofitConfig, state: TrainerState) -> int:
    return config.select_at or state.max_steps // 2


def _scaled(model: PeftModel) -> Iterator[tuple[str, nn.Parameter]]:
    """Yields the scales that are trained, with their adapter's name."""
    for _, layer in lofit_layers(model):
        for adapter in layer.active_adapters:
            if adapter in layer.lofit_scale and layer.lofit_scale[adapter].requires_grad:
                yield adapter, layer.lofit_scale[adapter]


def _swap(optimizer: torch.optim.Optimizer, old: list[nn.Parameter], new: list[nn.Parameter]) -> None:
    """Puts new parameters into the places of old ones, where an optimizer made anew from the model has them too."""
    successors = {id(one): other for one, other in zip(old, new, strict=True)}
    for group in optimizer.param_groups:
        group["params"] = [successors.get(id(weight), weight) for weight in group["params"]]
    for weight in old:
        optimizer.state.pop(weight, None)
