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

    def check_target(self, config: MeLoraConfig, name: str, base: nn.Module) -> None:
        """Checks that n divides the layer's sizes.

        Raises:
            TypeError: the module is neither an `nn.Linear` nor a `Conv1D`.
            ValueError: n does not divide the layer's sizes.
        """
        super().check_target(config, name, base)
        in_features, out_features = _get_in_out_features(base)
        if in_features % config.n or out_features % config.n:
            raise ValueError(
                f"MELoRA with n={config.n} can't adapt {name!r}, which has {in_features} inputs and {out_features} "
                f"outputs: each of the {config.n} mini LoRAs takes an equal part of both, so n must divide them. "
                "Choose another n, or name the module in `exclude_modules`."
            )
