"""Injects RED into a model."""

from __future__ import annotations

from torch import nn

from ..placement import PlacedModel
from .config import RedConfig
from .layer import Linear, RedLayer


class RedModel(PlacedModel):
    """A model whose representations are edited (see `RedConfig` for the equation and the paper).

    In a Llama block the edited representation is the output of `down_proj`, before it is added to the residual
    stream (released code). Trainable parameters: 2 out for each adapted layer.
    """

    title: str = "RED"
    prefix: str = "red_edit_"
    tuner_layer_cls = RedLayer

    def _new_layer(self, target: nn.Module, adapter_name: str, peft_config: RedConfig) -> Linear:
        return Linear(target, adapter_name, peft_config)
