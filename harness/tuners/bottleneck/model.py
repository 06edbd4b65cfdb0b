"""Injects bottleneck adapters into a model."""

from __future__ import annotations

from typing import NoReturn

from torch import nn

from ..placement import PlacedModel
from .config import BottleneckConfig
from .layer import NOT_MERGEABLE, BottleneckLayer, Linear


class BottleneckModel(PlacedModel):
    """A model with bottleneck adapters (see `BottleneckConfig` for the equations and their sources).

    In a Llama block a series adapter on `down_proj` (and `o_proj`) reads what the MLP (the attention) adds to the
    residual stream, before it is added: where Houlsby et al. put it. LLM-Adapters found `down_proj` alone the best
    place, and parallel adapters best beside the MLP's linear layers `up_proj` and `down_proj`.

    Trainable parameters, over the adapted layers: series `sum 2 r out`, parallel `sum r (in + out)`; with
    `projection_bias`, `r + out` more for each.
    """

    title: str = "A bottleneck adapter"
    prefix: str = "bottleneck_"
    tuner_layer_cls = BottleneckLayer

    def _new_layer(self, target: nn.Module, adapter_name: str, peft_config: BottleneckConfig) -> Linear:
        return Linear(target, adapter_name, peft_config)

    def _check_merge_allowed(self) -> NoReturn:
        raise NotImplementedError(NOT_MERGEABLE)
