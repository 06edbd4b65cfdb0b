"""Prompts of learned embeddings: the room they take, and where a padded row's text stands behind one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peft import PeftModel
from torch import nn


def prompt_length(model: nn.Module) -> int:
    """How many of the model's positions a learned prompt or prefix takes; 0 without one."""
    return model.active_peft_config.num_virtual_tokens if _has_prompt(model) else 0


@contextmanager
def text_behind_prompt(model: nn.Module) -> Iterator[None]:
    """Within: generation counts a row's positions without its padding.

    PEFT (0.21) drops the positions that `generate` works out, and the model then counts the padding that stands
    between a learned prompt and a shorter row's text. Such a row would be answered otherwise than alone, and than it
    was trained.
    """
    if not _has_prompt(model):
        yield
        return
    prepare = model.prepare_inputs_for_generation

    def prepare_positions(*args: Any, **kwargs: Any) -> dict[str, Any]:
        inputs = prepare(*args, **kwargs)
        mask = inputs.get("attention_mask")
        if "position_ids" in inputs and inputs["position_ids"] is None and mask is not None and mask.dim() == 2:
            given = inputs["input_ids"] if inputs.get("inputs_embeds") is None else inputs["inputs_embeds"]
            positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
            inputs["position_ids"] = positions[:, -given.shape[1] :]
        return inputs

    model.prepare_inputs_for_generation = prepare_positions
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Position ids are not supported")
            yield
    finally:
        model.prepare_inputs_for_generation = prepare


def _has_prompt(model: nn.Module) -> bool:
    return isinstance(model, PeftModel) and model.active_peft_config.is_prompt_learning
