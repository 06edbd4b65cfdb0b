"""LoRA-FA: LoRA whose down-projections stay what they were drawn as (Zhang et al. 2023, arXiv 2308.03303).

The adapter is a plain LoRA of PEFT's and is saved and loaded as one. PEFT freezes A only when it makes the
optimizer; here A is frozen from the start, so that parameters are counted as they are trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from peft import LoraConfig
from torch import nn
from transformers.pytorch_utils import Conv1D

from .lora_layer import LoraLinear


class FrozenDownLinear(LoraLinear):
    """A LoRA layer in which only B is trained."""

    def update_layer(self, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """Adds an adapter and declares its A frozen, which PEFT holds to from then on."""
        super().update_layer(adapter_name, *args, **kwargs)
        self.frozen_peft_weight_names = {**self.frozen_peft_weight_names, adapter_name: ("lora_A",)}


@dataclass
class LoraFaConfig(LoraConfig):
    """PEFT's LoRA configuration, with A frozen in linear layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._register_custom_module({nn.Linear: FrozenDownLinear, Conv1D: FrozenDownLinear})
