"""Injects RoseLoRA into a model, and carries its sensitivities from a checkpoint to the training that goes on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from ..lowrank import LowRankModel
from .config import RoseLoraConfig
from .layer import RoseLoraLayer

SENSITIVITIES = ("roselora_sensitivity_A", "roselora_sensitivity_B")


class RoseLoraModel(LowRankModel):
    """A model with RoseLoRA adapters. Trained parameters of a layer: r · (in + out), of which most end as zeros.

    A checkpoint that is made while an adapter is trained has the sensitivities beside the weights, so that a resumed
    training prunes as one that was never interrupted. An adapter saved afterwards has them no more.
    """

    prefix: str = "roselora_"
    tuner_layer_cls = RoseLoraLayer

    @classmethod
    def _get_adapter_state_dict(
        cls,
        model: nn.Module,
        config: RoseLoraConfig,
        adapter_name: str,
        state_dict: dict[str, torch.Tensor],
        unwanted_adapter_names: list[str],
    ) -> dict[str, torch.Tensor]:
        saved = super()._get_adapter_state_dict(model, config, adapter_name, state_dict, unwanted_adapter_names)
        for name, layer in rose_layers(model):
            for key, sensitivity in zip(SENSITIVITIES, layer.sensitivity.get(adapter_name, ()), strict=False):
                saved[f"{name}.{key}.{adapter_name}"] = sensitivity
        return saved

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls, model: nn.Module, config: RoseLoraConfig, adapter_name: str, state_dict: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        given = dict(state_dict)
        for name, layer in rose_layers(model):
            layer.sensitivity.pop(adapter_name, None)
            found = [given.pop(f"{name}.{key}", None) for key in SENSITIVITIES]
            if found[0] is not None and found[1] is not None:
                device = layer.get_base_layer().weight.device
                layer.sensitivity[adapter_name] = (found[0].to(device), found[1].to(device))
        return super()._remap_adapter_state_dict_for_load(model, config, adapter_name, given)


def rose_layers(model: nn.Module) -> Iterator[tuple[str, RoseLoraLayer]]:
    """Yields the model's RoseLoRA layers with their names."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, RoseLoraLayer))
