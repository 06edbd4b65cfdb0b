"""A linear layer with adapters that are linear in its input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.tuners_utils import BaseTunerLayer, _get_in_out_features
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..placement import MergesIntoWeight, can_be_added_to, kaiming
from .config import LowRankConfig


def zeros_or_kaiming(starts_at_zero: bool, *shape: int) -> nn.Parameter:
    """Returns the matrix that decides whether an adapter starts as the identity: zeros, or as `kaiming` draws it."""
    return nn.Parameter(torch.zeros(shape)) if starts_at_zero else kaiming(*shape)


@contextmanager
def keeps_trainability(layers: Iterable[LowRankLayer], adapter_name: str) -> Iterator[None]:
    """Lets PEFT cast an adapter's entries of the layers' dictionaries, for which it puts trainable ones in."""
    held = [
        (weights, weights[adapter_name].requires_grad)
        for layer in layers
        for weights in (getattr(layer, name) for name in layer.adapter_layer_names)
        if adapter_name in weights
    ]
    yield
    for weights, requires_grad in held:
        weights[adapter_name].requires_grad_(requires_grad)


class LowRankLayer(nn.Module, MergesIntoWeight, BaseTunerLayer):
    """An `nn.Linear` or `Conv1D` and its adapters: `y = W0 x + sum over active adapters of (alpha / r) P drop(x)`.

    x: (..., in) -> y: (..., out) in the base layer's dtype; P: (out, in). A tuner's layer says which matrices there
    are (`adapter_layer_names`), makes them (`make_weights`) and names them in the order of their use (`factors`).
    """

    title: str
    """The method's name in messages."""

    other_param_names: tuple[str, ...] = ("r", "scaling", "adapter_dropout")

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: LowRankConfig) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.in_features, self.out_features = _get_in_out_features(self.get_base_layer())
        self.r: dict[str, int] = {}
        self.scaling: dict[str, float] = {}
        self.adapter_dropout = nn.ModuleDict()
        for name in self.adapter_layer_names:
            setattr(self, name, nn.ParameterDict())
        self.frozen_peft_weight_names = {}
        self._disable_adapters = False
        self.merged_adapters = []
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def make_weights(self, adapter_name: str, config: LowRankConfig) -> None:
        """Puts an adapter's matrices into the dictionaries `adapter_layer_names`."""
        raise NotImplementedError

    def factors(self, adapter: str) -> tuple[torch.Tensor, ...]:
        """The matrices whose product, the first one rightmost, is P: (k, in), ..., (out, l)."""
        raise NotImplementedError

    def apply_factors(self, x: torch.Tensor, adapter: str) -> torch.Tensor:
        """x: (..., in) -> P x: (..., out)."""
        return reduce(F.linear, self.factors(adapter), x)

    def update_layer(self, adapter_name: str, config: LowRankConfig) -> None:
        """Adds an adapter, or makes it anew."""
        self.r[adapter_name] = config.r
        self.scaling[adapter_name] = config.alpha / config.r
        self.adapter_dropout[adapter_name] = nn.Dropout(config.dropout) if config.dropout > 0 else nn.Identity()
        self.make_weights(adapter_name, config)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: torch.device | None = None) -> None:
        with keeps_trainability([self], adapter_name):
            super()._move_adapter_to_device_of_base_layer(adapter_name, device)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """x: (..., in) -> (..., out), in the base layer's dtype."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        dtype = result.dtype
        for name in self.active_adapters:
            if name in self.r:
                given = self._cast_input_dtype(x, self.factors(name)[0].dtype)
                change = self.apply_factors(self.adapter_dropout[name](given), name)
                result = result + change * self.scaling[name]
        return result.to(dtype)

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        """Returns (alpha / r) P in the shape of the base weight: (out, in), for `Conv1D` (in, out)."""
        product = reduce(lambda right, left: left @ right, self.factors(adapter))
        delta = self.scaling[adapter] * product
        return delta.T if isinstance(self.get_base_layer(), Conv1D) else delta

    def check_mergeable(self, adapter_names: list[str] | None = None) -> None:
        """Checks, without touching a weight, that the given adapters (default: the active ones) can be merged.

        Raises:
            NotImplementedError: the base weights are quantized.
        """
        names = self.active_adapters if adapter_names is None else adapter_names
        weight = self.get_base_layer().weight
        if can_be_added_to(weight):
            return
        for name in names:
            if name in self.r:
                raise NotImplementedError(
                    f"The {self.title} adapter {name!r} can't be merged into quantized weights. Load the base model "
                    "without quantization and the adapter on top of it, and merge there."
                )
