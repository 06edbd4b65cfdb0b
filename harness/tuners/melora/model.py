"""Injects MELoRA into a model."""

from __future__ import annotations

from peft.tuners.tuners_utils import _get_in_out_features
from torch import nn

from ..lowrank import LowRankModel
from .config import MeLoraConfig
from .layer import MeLoraLayer


class MeLoraModel(LowRankModel):
    """A model with MELoRA adapters. Trainable parameters of a layer: r · (in + out), whatever n is."""

    prefix: str = "melora_"
    tuner_layer_cls = MeLoraLayer

    def _check_target(self, name: str, base: nn.Module, peft_config: MeLoraConfig) -> None:
        """Checks that n divides the layer's sizes.

        Raises:
            TypeError: the module is neither an `nn.Linear` nor a `Conv1D`.
            ValueError: n does not divide the layer's sizes.
        """
        super()._check_target(name, base, peft_config)
        in_features, out_features = _get_in_out_features(base)
        if in_features % peft_config.n or out_features % peft_config.n:
            raise ValueError(
                f"MELoRA with n={peft_config.n} can't adapt {name!r}, which has {in_features} inputs and "
                f"{out_features} outputs: each of the {peft_config.n} mini LoRAs takes an equal part of both, so n "
                "must divide them. "
                "Choose another n, or name the module in `exclude_modules`."
            )
