"""Injects NoRA into a model."""

from __future__ import annotations

from ..lowrank import LowRankModel
from .layer import NoraLayer


class NoraModel(LowRankModel):
    """A model with NoRA adapters. Trainable parameters of a layer: 2 · r · q, frozen ones: q · (in + out)."""

    # PEFT takes parameters with the prefix for trained ones.
    prefix: str = "nora_inner_"
    tuner_layer_cls = NoraLayer

    def _cast_adapter_dtype(self, adapter_name: str, autocast_adapter_dtype: bool = True) -> None:
        super()._cast_adapter_dtype(adapter_name, autocast_adapter_dtype)
        # Where PEFT casts an entry of a dictionary, it puts a trainable one in its place.
        for module in self.model.modules():
            if isinstance(module, NoraLayer):
                module._freeze_non_trainable_peft_weights(adapter_name)
