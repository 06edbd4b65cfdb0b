"""A module whose bias is trained."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ..placement import Merges
from .config import BitFitConfig


class BitFitLayer(BaseTunerLayer):
    """The adapters of one module: `bitfit_change[name]`, the shape of its bias."""

    adapter_layer_names: tuple[str, ...] = ("bitfit_change",)
    other_param_names: tuple[str, ...] = ()

    def __init__(self, base_layer: nn.Module) -> None:
        self.base_layer = base_layer
        self.bitfit_change = nn.ParameterDict()
        self._disable_adapters = False
        self.merged_adapters = []

    def update_layer(self, adapter_name: str, config: BitFitConfig) -> None:
        """Adds an adapter to this module."""
        bias = self.get_base_layer().bias
        spread = 0.0 if config.init_weights else 0.1
        self.bitfit_change[adapter_name] = nn.Parameter(spread * torch.randn(bias.shape))
        self._move_adapter_to_device_of_base_layer(adapter_name, device=bias.device)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)


class Biased(nn.Module, Merges, BitFitLayer):
    """BitFit on a module that adds its bias last; several active adapters add their changes."""

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: BitFitConfig) -> None:
        super().__init__()
        BitFitLayer.__init__(self, base_layer)
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def has_adapter(self, name: str) -> bool:
        """Whether the layer has this adapter."""
        return name in self.bitfit_change

    def check_mergeable(self, names: list[str]) -> None:
        """A bias takes every change."""

    @torch.no_grad()
    def change_base(self, name: str, sign: int, check_finite: bool = False) -> None:
        """Adds the change to the bias, or takes it out. Raises ValueError for what is not finite."""
        bias = self.get_base_layer().bias
        # Summed in the adapter's precision and rounded once.
        changed = (bias + sign * self.bitfit_change[name].to(bias.device)).to(bias.dtype)
        if check_finite and not torch.isfinite(changed).all():
            raise ValueError("NaNs detected in the merged biases: they or the adapter are not finite.")
        bias.data = changed

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """x: whatever the module takes -> (..., out), in the module's dtype."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        dtype = result.dtype
        for name in self.active_adapters:
            if name in self.bitfit_change:
                result = result + self.bitfit_change[name]
        return result.to(dtype)

    def __repr__(self) -> str:
        return "bitfit." + super().__repr__()
