"""The linear layer with a bottleneck beside or behind it."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, _get_in_out_features
from torch import nn
from transformers.activations import ACT2FN

from .config import BottleneckConfig

NOT_MERGEABLE = (
    "A bottleneck adapter can't be merged: its non-linearity lies between its two projections, so no weight matrix "
    "equals it. Keep it beside the base model (`save_pretrained`, `PeftModel.from_pretrained`) or remove it with "
    "`unload()`."
)


class BottleneckLayer(BaseTunerLayer):
    """The adapters of one layer: `bottleneck_down[name]` and `bottleneck_up[name]` are `nn.Linear`."""

    adapter_layer_names: tuple[str, ...] = ("bottleneck_down", "bottleneck_up")
    other_param_names: tuple[str, ...] = ("r", "variant", "scaling", "non_linearity", "bottleneck_dropout")

    def __init__(self, base_layer: nn.Module) -> None:
        self.base_layer = base_layer
        self.r: dict[str, int] = {}
        self.variant: dict[str, str] = {}
        self.scaling: dict[str, float] = {}
        self.non_linearity: dict[str, nn.Module] = {}
        self.bottleneck_dropout = nn.ModuleDict()
        self.bottleneck_down = nn.ModuleDict()
        self.bottleneck_up = nn.ModuleDict()
        self._disable_adapters = False
        self.merged_adapters = []
        self.in_features, self.out_features = _get_in_out_features(self.get_base_layer())

    def update_layer(self, adapter_name: str, config: BottleneckConfig) -> None:
        """Adds an adapter to this layer."""
        self.r[adapter_name] = config.r
        self.variant[adapter_name] = config.variant
        self.scaling[adapter_name] = config.scaling
        self.non_linearity[adapter_name] = ACT2FN[config.non_linearity]
        self.bottleneck_dropout[adapter_name] = nn.Dropout(config.dropout) if config.dropout > 0 else nn.Identity()
        width = self.out_features if config.variant == "series" else self.in_features
        self.bottleneck_down[adapter_name] = nn.Linear(width, config.r, bias=config.projection_bias)
        self.bottleneck_up[adapter_name] = nn.Linear(config.r, self.out_features, bias=config.projection_bias)
        if config.init_weights:
            self._start_as_identity(adapter_name)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _start_as_identity(self, adapter_name: str) -> None:
        down, up = self.bottleneck_down[adapter_name], self.bottleneck_up[adapter_name]
        nn.init.kaiming_uniform_(down.weight, a=math.sqrt(5))
        nn.init.zeros_(up.weight)
        for bias in (down.bias, up.bias):
            if bias is not None:
                nn.init.zeros_(bias)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> NoReturn:
        """Raises NotImplementedError: the adapter is not linear."""
        raise NotImplementedError(NOT_MERGEABLE)

    def unmerge(self) -> NoReturn:
        """Raises NotImplementedError: nothing was merged."""
        raise NotImplementedError(NOT_MERGEABLE)


class Linear(nn.Module, BottleneckLayer):
    """Bottleneck adapters on an `nn.Linear` or a `Conv1D`; several active ones follow each other in their order."""

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: BottleneckConfig) -> None:
        super().__init__()
        BottleneckLayer.__init__(self, base_layer)
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """x: (..., in) -> (..., out), in the base layer's dtype."""
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters:
            return result
        for name in self.active_adapters:
            if name in self.bottleneck_down:
                result = self._adapt(result, x, name)
        return result

    def _adapt(self, result: torch.Tensor, x: torch.Tensor, adapter: str) -> torch.Tensor:
        down, up = self.bottleneck_down[adapter], self.bottleneck_up[adapter]
        read = result if self.variant[adapter] == "series" else x
        read = self.bottleneck_dropout[adapter](self._cast_input_dtype(read, down.weight.dtype))
        change = up(self.non_linearity[adapter](down(read)))
        return (result + self.scaling[adapter] * change).to(result.dtype)

    def __repr__(self) -> str:
        return "bottleneck." + super().__repr__()
