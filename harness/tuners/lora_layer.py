"""What variants of PEFT's LoRA layer have in common."""

from __future__ import annotations

from typing import Any

from peft import LoraConfig
from peft.tuners.lora import Linear
from torch import nn
from transformers.pytorch_utils import Conv1D


class LoraLinear(Linear):
    """A LoRA layer on an `nn.Linear` or a `Conv1D`, which is told which of the two it is on.

    PEFT tells its own layers; one that a configuration registers is not told.
    """

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: LoraConfig, **kwargs: Any) -> None:
        transposed = isinstance(base_layer, Conv1D)
        config.fan_in_fan_out = transposed
        super().__init__(base_layer, adapter_name, config, is_target_conv_1d_layer=transposed, **kwargs)
