"""Injects low-rank adapters into a model."""

from __future__ import annotations

from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from torch import nn

from ..placement import PlacedModel
from .config import LowRankConfig
from .layer import LowRankLayer


class LowRankModel(PlacedModel):
    """A model with adapters of one low-rank method, each layer with matrices of its own.

    A tuner names its layer (`tuner_layer_cls`) and prefix.
    """

    tuner_layer_cls: type[LowRankLayer]
    target_module_mapping = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    @property
    def title(self) -> str:
        """The method's name in messages."""
        return self.tuner_layer_cls.title

    def _new_layer(self, target: nn.Module, adapter_name: str, peft_config: LowRankConfig) -> LowRankLayer:
        return self.tuner_layer_cls(target, adapter_name, peft_config)
