"""What is compared: one frozen base model and the methods that adapt copies of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from literal import inject_literal
from peft import LoraConfig, PeftConfig, VeraConfig, get_peft_model
from torch import nn

from harness.tuners import DenseLoraConfig


@dataclass(frozen=True)
class Adapter:
    """The settings that all adapters have in common."""

    targets: list[str]
    r: int
    alpha: float
    dropout: float


def _lora(adapter: Adapter, **more: bool) -> PeftConfig:
    return LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.targets,
        **more,
    )


def _denselora(adapter: Adapter, activation: str) -> PeftConfig:
    return DenseLoraConfig(
        r=adapter.r,
        alpha=adapter.alpha,
        dropout=adapter.dropout,
        activation=activation,
        target_modules=adapter.targets,
    )


CONFIGS: dict[str, Callable[[Adapter], PeftConfig]] = {
    "lora": _lora,
    "dora": lambda adapter: _lora(adapter, use_dora=True),
    "vera": lambda adapter: VeraConfig(r=adapter.r, vera_dropout=adapter.dropout, target_modules=adapter.targets),
    "ours": lambda adapter: _denselora(adapter, "gelu"),
    "only-matrix": lambda adapter: _denselora(adapter, "identity"),
}

CONTENDERS = ("base", "lora", "dora", "vera", "literal", "ours")

TITLES = {
    "base": "frozen base",
    "lora": "LoRA",
    "dora": "DoRA",
    "vera": "VeRA",
    "literal": "DenseLoRA, literal",
    "ours": "DenseLoRA, ours",
    "lora-merged": "LoRA, in place",
    "lora-unloaded": "LoRA, unloaded",
    "only-matrix-merged": "Only Matrix, in place",
    "only-matrix-unloaded": "Only Matrix, unloaded",
}


def make_contender(name: str, base: nn.Module, adapter: Adapter, seed: int, share_targets: bool = True) -> nn.Module:
    """Returns a model of its own that reads the weights of `base` and trains only its adapter.

    What a method starts at zero is filled with small random numbers, so that no gradient is exactly zero: the model
    is as after some training. With `share_targets=False` the weights of the adapted layers are copied, so that they
    can be merged into.
    """
    # deepcopy takes a parameter that is in the memo as it is.
    shared = {
        id(weight): weight
        for path, weight in base.named_parameters()
        if share_targets or path.split(".")[-2] not in adapter.targets
    }
    model = copy.deepcopy(base, shared)
    torch.manual_seed(seed)
    if name == "literal":
        inject_literal(model, adapter.targets, adapter.r, adapter.alpha, adapter.dropout)
    elif name != "base":
        model = get_peft_model(model, CONFIGS[name](adapter))
    for weight in model.parameters():
        if weight.requires_grad and not weight.any():
            nn.init.normal_(weight, std=0.02)
    return model


def make_trainee(name: str, base: nn.Module, adapter: Adapter, seed: int) -> nn.Module:
    """Returns a contender in training mode.

    The frozen base has nothing to train, so its embeddings' output is made to require a gradient: its backward pass
    goes through every layer, as an adapter's does.
    """
    model = make_contender(name, base, adapter, seed)
    model.config.use_cache = False
    if name == "base":
        model.enable_input_require_grads()
    return model.train()


def make_merged(name: str, base: nn.Module, adapter: Adapter, seed: int) -> nn.Module:
    """Returns a model with weights of its own: the base, or `<method>-merged` (the tuner's layers stay) or
    `<method>-unloaded` (they are gone)."""
    method, _, how = name.rpartition("-") if name != "base" else (name, "", "")
    model = make_contender(method, base, adapter, seed, share_targets=False)
    if how == "merged":
        model.merge_adapter()
    elif how == "unloaded":
        model = model.merge_and_unload()
    return model.eval()
