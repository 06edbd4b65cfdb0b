"""The linear layer with a Compacter behind it."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, _get_in_out_features
from torch import nn
from transformers.activations import ACT2FN

from .config import CompacterConfig

NOT_MERGEABLE = (
    "A Compacter can't be merged: its non-linearity lies between its two projections, so no weight matrix equals it. "
    "Keep it beside the base model (`save_pretrained`, `PeftModel.from_pretrained`) or remove it with `unload()`."
)


def multiply(x: torch.Tensor, A: torch.Tensor, s: torch.Tensor, t: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Returns `x H + bias` for `H = sum over i of kron(A_i, s_i t_i)`, which is never made.

    x: (..., in), A: (n, n, n), s: (n, in/n, r), t: (n, r, out/n), bias: (out,) -> (..., out).
    """
    blocks = x.unflatten(-1, (A.shape[0], -1))
    code = torch.einsum("...ap,ipr->...iar", blocks, s)
    code = torch.einsum("...iar,iab->...ibr", code, A)
    return torch.einsum("...ibr,irq->...bq", code, t).flatten(-2) + bias


def _glorot(*shape: int) -> nn.Parameter:
    weight = nn.Parameter(torch.empty(shape))
    for matrix in weight.data:
        nn.init.xavier_uniform_(matrix, gain=math.sqrt(2))
    return weight


class CompacterLayer(BaseTunerLayer):
    """The adapters of one layer.

    `compacter_A[name]`: (n, n, n) is an entry of a dictionary that all layers hold in common and the tuner owns; a
    layer refers to it without registering it, as DenseLoRA's layers do (see `DenseLoraLayer`). The others are the
    layer's own: `compacter_down_s`: (n, d/n, r), `compacter_down_t`: (n, r, k/n), `compacter_down_b`: (k,),
    `compacter_up_s`: (n, k/n, r), `compacter_up_t`: (n, r, d/n), `compacter_up_b`: (d,).
    """

    own_names: tuple[str, ...] = tuple(f"compacter_{way}_{part}" for way in ("down", "up") for part in "stb")
    adapter_layer_names: tuple[str, ...] = (*own_names, "compacter_A")
    other_param_names: tuple[str, ...] = ("r", "non_linearity")

    def __init__(self, base_layer: nn.Module, shared: nn.ParameterDict) -> None:
        self.base_layer = base_layer
        self.r: dict[str, int] = {}
        self.non_linearity: dict[str, nn.Module] = {}
        for name in self.own_names:
            setattr(self, name, nn.ParameterDict())
        # An assignment would register it.
        self.__dict__["compacter_A"] = shared
        self._disable_adapters = False
        self.merged_adapters = []
        self.in_features, self.out_features = _get_in_out_features(self.get_base_layer())

    def update_layer(self, adapter_name: str, config: CompacterConfig) -> None:
        """Adds an adapter to this layer; the first layer creates the shared matrices."""
        self.r[adapter_name] = config.r
        self.non_linearity[adapter_name] = ACT2FN[config.non_linearity]
        if adapter_name not in self.compacter_A:
            std = config.init_range if config.init_weights else 1 / config.n
            self.compacter_A[adapter_name] = nn.Parameter(std * torch.randn(config.n, config.n, config.n))
        size = config.bottleneck_size(self.out_features)
        for way, width, height in (("down", self.out_features, size), ("up", size, self.out_features)):
            for part, weight in zip("stb", self._projection(config, width, height)):
                getattr(self, f"compacter_{way}_{part}")[adapter_name] = weight
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    @staticmethod
    def _projection(
        config: CompacterConfig, width: int, height: int
    ) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter]:
        """Makes s, t and the bias of a projection from `width` to `height`."""
        bias = torch.zeros(height) if config.init_weights else torch.randn(height)
        s = _glorot(config.n, width // config.n, config.r)
        return s, _glorot(config.n, config.r, height // config.n), nn.Parameter(bias)

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> NoReturn:
        """Raises NotImplementedError: the adapter is not linear."""
        raise NotImplementedError(NOT_MERGEABLE)

    def unmerge(self) -> NoReturn:
        """Raises NotImplementedError: nothing was merged."""
        raise NotImplementedError(NOT_MERGEABLE)


class Linear(nn.Module, CompacterLayer):
    """Compacters on an `nn.Linear` or a `Conv1D`; several active ones follow each other in their order."""

    def __init__(
        self, base_layer: nn.Module, adapter_name: str, config: CompacterConfig, shared: nn.ParameterDict
    ) -> None:
        super().__init__()
        CompacterLayer.__init__(self, base_layer, shared)
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """x: (..., in) -> (..., out), in the base layer's dtype."""
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters:
            return result
        for name in self.active_adapters:
            if name in self.r:
                result = self._adapt(result, name)
        return result

    def _adapt(self, result: torch.Tensor, adapter: str) -> torch.Tensor:
        down, up = ([getattr(self, f"compacter_{way}_{part}")[adapter] for part in "stb"] for way in ("down", "up"))
        # With the layers on several devices, the shared matrices lie on one of them.
        A = self.compacter_A[adapter].to(down[0].device)
        read = self._cast_input_dtype(result, A.dtype)
        change = multiply(self.non_linearity[adapter](multiply(read, A, *down)), A, *up)
        return (result + change).to(result.dtype)

    def __repr__(self) -> str:
        return "compacter." + super().__repr__()
