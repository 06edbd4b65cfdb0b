"""The linear layer whose output is edited."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, _get_in_out_features
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..placement import Merges, can_be_added_to
from .config import RedConfig


class RedLayer(BaseTunerLayer):
    """The adapters of one layer: `red_edit_scaling[name]` and `red_edit_bias[name]`, both (out,)."""

    adapter_layer_names: tuple[str, ...] = ("red_edit_scaling", "red_edit_bias")
    other_param_names: tuple[str, ...] = ()

    def __init__(self, base_layer: nn.Module) -> None:
        self.base_layer = base_layer
        self.red_edit_scaling = nn.ParameterDict()
        self.red_edit_bias = nn.ParameterDict()
        self._disable_adapters = False
        self.merged_adapters = []
        self.in_features, self.out_features = _get_in_out_features(self.get_base_layer())

    def update_layer(self, adapter_name: str, config: RedConfig) -> None:
        """Adds an adapter to this layer."""
        spread = 0.0 if config.init_weights else 0.1
        for weights, start in ((self.red_edit_scaling, 1.0), (self.red_edit_bias, 0.0)):
            weights[adapter_name] = nn.Parameter(start + spread * torch.randn(self.out_features))
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def check_mergeable(self, adapter_names: list[str] | None = None) -> None:
        """Checks, without touching a weight, that the given adapters (default: the active ones) can be merged.

        Raises:
            NotImplementedError: the base layer has no bias, its weights are quantized, or a scaling is zero.
        """
        names = self.active_adapters if adapter_names is None else adapter_names
        base = self.get_base_layer()
        for name in names:
            if name not in self.red_edit_scaling:
                continue
            if base.bias is None:
                raise NotImplementedError(
                    f"The RED adapter {name!r} can't be merged: a layer that it edits has no bias, so its bias vector "
                    "has nowhere to go. Keep it beside the base model (`save_pretrained`, "
                    "`PeftModel.from_pretrained`) or remove it with `unload()`."
                )
            if not can_be_added_to(base.weight):
                raise NotImplementedError(
                    f"The RED adapter {name!r} can't be merged into quantized weights. Load the base model without "
                    "quantization and the adapter on top of it, and merge there."
                )
            if not self.red_edit_scaling[name].all():
                raise NotImplementedError(
                    f"The RED adapter {name!r} can't be merged: an element of its scaling is zero, and a row of "
                    "weights that was multiplied by zero can't be brought back."
                )


class Linear(nn.Module, Merges, RedLayer):
    """RED on an `nn.Linear` or a `Conv1D`; several active adapters edit one after the other, in their order."""

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: RedConfig) -> None:
        super().__init__()
        RedLayer.__init__(self, base_layer)
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def has_adapter(self, name: str) -> bool:
        """Whether the layer has this adapter."""
        return name in self.red_edit_scaling

    @torch.no_grad()
    def change_base(self, name: str, sign: int, check_finite: bool = False) -> None:
        """Edits weight and bias instead of the output: `W' = diag(l_scaling) W`, `b' = l_scaling * b + l_bias`."""
        base = self.get_base_layer()
        scaling, shift = self.red_edit_scaling[name], self.red_edit_bias[name]
        if sign < 0:
            inverse = 1 / scaling
            scaling, shift = inverse, -shift * inverse
        scaling, shift = scaling.to(base.weight.device), shift.to(base.weight.device)
        rows = scaling if isinstance(base, Conv1D) else scaling[:, None]
        # Both are computed in the adapter's precision and rounded once.
        weight = (rows * base.weight).to(base.weight.dtype)
        bias = (scaling * base.bias + shift).to(base.bias.dtype)
        if check_finite and not (torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            raise ValueError("NaNs detected in the merged weights: they or the adapter are not finite.")
        base.weight.data, base.bias.data = weight, bias

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """x: (..., in) -> (..., out), in the base layer's dtype."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        dtype = result.dtype
        for name in self.active_adapters:
            if name in self.red_edit_scaling:
                result = result * self.red_edit_scaling[name] + self.red_edit_bias[name]
        return result.to(dtype)

    def __repr__(self) -> str:
        return "red." + super().__repr__()
