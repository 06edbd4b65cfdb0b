"""Checkpoints that hold all that is trained, also where PEFT's adapter file doesn't."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from harness.errors import RunError

STATE = "trained_state.safetensors"
"""Lies beside a checkpoint's adapter file: every trained parameter by its name in the model."""


@contextmanager
def whole_checkpoints(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """Within: what the trainer saves of `model` to a checkpoint it can load again bit for bit.

    PEFT saves what an adapter needs to be used. Of a prompt that is made by a network that is the prompt alone, and
    training can't go on from it. There, the trained parameters are saved beside the adapter file and put back both
    to resume and for the best checkpoint. The adapter file is written without dropout and draws no random number.
    A model whose adapter file holds every trained parameter is left alone.
    """
    if not isinstance(model, PeftModel) or _adapter_file_is_whole(model):
        yield
        return
    save, load = model.save_pretrained, model.load_adapter

    def save_whole(directory: str, **arguments: Any) -> None:
        with _without_dropout(model):
            save(directory, **arguments)
        save_file({name: tensor.contiguous() for name, tensor in _trained(model).items()}, Path(directory) / STATE)

    def load_whole(directory: str, *arguments: Any, **named: Any) -> None:
        # PEFT would put the finished prompt where its network's input belongs, or find that it doesn't fit there.
        if not model.active_peft_config.is_prompt_learning:
            load(directory, *arguments, **named)
        _put_back(model, Path(directory) / STATE)

    model.__dict__.update(save_pretrained=save_whole, load_adapter=load_whole)
    try:
        yield
    finally:
        del model.__dict__["save_pretrained"], model.__dict__["load_adapter"]


def _trained(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}


def _adapter_file_is_whole(model: PeftModel) -> bool:
    """Whether PEFT saves each trained parameter itself, not something that is computed from it."""
    with torch.no_grad(), _without_dropout(model):
        saved = get_peft_model_state_dict(model, save_embedding_layers=False).values()
    held = {(tensor.data_ptr(), tensor.numel()) for tensor in saved}
    return all((weight.data_ptr(), weight.numel()) in held for weight in _trained(model).values())


@torch.no_grad()
def _put_back(model: PeftModel, file: Path) -> None:
    saved, trained = load_file(file), _trained(model)
    if saved.keys() != trained.keys():
        raise RunError("internal", f"{file} holds other parameters than the model trains")
    for name, weight in trained.items():
        weight.copy_(saved[name])


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    """Within: evaluation mode. Afterwards every module is in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
