"""The output projection of an attention whose heads are edited."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners._buffer_dict import BufferDict
from peft.tuners.tuners_utils import BaseTunerLayer, _get_in_out_features
from torch import nn
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

from ..placement import Merges, can_be_added_to
from .config import LofitConfig


class LofitLayer(BaseTunerLayer):
    """The adapters of one attention's heads.

    An adapter has either `lofit_scale[name]`, A: (heads, head_dim), or, once its heads are selected,
    `lofit_offset[name]`, v: (k, head_dim), and `lofit_heads[name]`, the k heads of this layer (maybe none).
    """

    adapter_layer_names: tuple[str, ...] = ("lofit_scale", "lofit_offset")
    other_param_names: tuple[str, ...] = ("lofit_heads",)

    def __init__(self, base_layer: nn.Module, num_heads: int) -> None:
        self.base_layer = base_layer
        self.lofit_scale = nn.ParameterDict()
        self.lofit_offset = nn.ParameterDict()
        self.lofit_heads = BufferDict(persistent=True)
        self._disable_adapters = False
        self.merged_adapters = []
        self.in_features, self.out_features = _get_in_out_features(self.get_base_layer())
        self.num_heads, self.head_dim = num_heads, self.in_features // num_heads

    def update_layer(self, adapter_name: str, config: LofitConfig) -> None:
        """Adds an adapter, with scales, to this layer."""
        self._drop(adapter_name)
        spread = config.init_std if config.init_weights else 0.1
        self.lofit_scale[adapter_name] = nn.Parameter(spread * torch.randn(self.num_heads, self.head_dim))
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def weight_of(self, adapter_name: str) -> nn.Parameter | None:
        """Returns the adapter's scales or offsets, or None if it is not on this layer."""
        held = self.lofit_scale if adapter_name in self.lofit_scale else self.lofit_offset
        return held.get(adapter_name)

    def put_scale(self, adapter_name: str) -> None:
        """Gives an adapter scales of zero in place of what it has."""
        old = self._drop(adapter_name)
        scale = old.new_zeros(self.num_heads, self.head_dim)
        self.lofit_scale[adapter_name] = nn.Parameter(scale, old.requires_grad)

    def put_offset(self, adapter_name: str, heads: torch.Tensor, offset: torch.Tensor) -> None:
        """Gives an adapter the offsets (k, head_dim) of the given heads (k,) in place of what it has.

        Raises:
            ValueError: the layer has fewer heads.
        """
        if len(heads) and not 0 <= int(heads.min()) <= int(heads.max()) < self.num_heads:
            raise ValueError(
                f"The adapter {adapter_name!r} has offsets of the heads {heads.tolist()}, and the layer has "
                f"{self.num_heads} heads: it was made for another base model."
            )
        old = self._drop(adapter_name)
        self.lofit_offset[adapter_name] = nn.Parameter(offset.to(old.device, old.dtype), old.requires_grad)
        self.lofit_heads[adapter_name] = heads.to(old.device)

    def _drop(self, adapter_name: str) -> nn.Parameter | None:
        old = self.weight_of(adapter_name)
        for held in (self.lofit_scale, self.lofit_offset, self.lofit_heads):
            if adapter_name in held:
                del held[adapter_name]
        return old

    def offset_of(self, adapter_name: str) -> torch.Tensor:
        """Returns the offsets of all heads (heads * head_dim,), zero for those that are not selected."""
        offset = self.lofit_offset[adapter_name]
        every = offset.new_zeros(self.num_heads, self.head_dim)
        return every.index_copy(0, self.lofit_heads[adapter_name], offset).flatten()

    def check_mergeable(self, adapter_names: list[str] | None = None) -> None:
        """Checks, without touching a weight, that the given adapters (default: the active ones) can be merged.

        Raises:
            NotImplementedError: the heads are not selected yet, the base layer has no bias or is quantized.
        """
        base = self.get_base_layer()
        for name in self.active_adapters if adapter_names is None else adapter_names:
            if name in self.lofit_scale:
                raise NotImplementedError(
                    f"The LoFiT adapter {name!r} can't be merged: its heads are not selected yet. Train it with the "
                    "callback SelectHeads, or call `select_heads`."
                )
            if name not in self.lofit_offset or not len(self.lofit_heads[name]):
                continue
            if base.bias is None:
                raise NotImplementedError(
                    f"The LoFiT adapter {name!r} can't be merged: an output projection that it edits has no bias, so "
                    "its offsets have nowhere to go. Keep it beside the base model (`save_pretrained`, "
                    "`PeftModel.from_pretrained`) or remove it with `unload()`."
                )
            if not can_be_added_to(base.weight):
                raise NotImplementedError(
                    f"The LoFiT adapter {name!r} can't be merged: the weights beside the bias are quantized. Load the "
                    "base model without quantization and the adapter on top of it, and merge there."
                )


class Linear(nn.Module, Merges, LofitLayer):
    """LoFiT on an `nn.Linear` or a `Conv1D`; several active adapters edit one after the other, in their order."""

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: LofitConfig, num_heads: int) -> None:
        super().__init__()
        LofitLayer.__init__(self, base_layer, num_heads)
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def has_adapter(self, name: str) -> bool:
        """Whether the layer has this adapter."""
        return name in self.lofit_offset

    @torch.no_grad()
    def change_base(self, adapter_name: str, sign: int, check_finite: bool = False) -> None:
        """Adds what the projection makes of the offsets to its bias: `b' = b + W v`."""
        base = self.get_base_layer()
        if not len(self.lofit_heads[adapter_name]):
            return
        offset = self.offset_of(adapter_name).to(base.weight.device)
        weight = base.weight.T if isinstance(base, Conv1D) else base.weight
        # It is computed in the adapter's precision and rounded once.
        exact = torch.promote_types(offset.dtype, weight.dtype)
        bias = (base.bias + sign * F.linear(offset.to(exact), weight.to(exact))).to(base.bias.dtype)
        if check_finite and not torch.isfinite(bias).all():
            raise ValueError("NaNs detected in the merged bias: it or the adapter is not finite.")
        base.bias.data = bias

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """x: (..., heads * head_dim) -> (..., out), in the base layer's dtype."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        if not (self.disable_adapters or self.merged):
            x = self._edited(x)
        return self.base_layer(x, *args, **kwargs)

    def _edited(self, x: torch.Tensor) -> torch.Tensor:
        dtype = x.dtype
        for name in self.active_adapters:
            if name in self.lofit_scale:
                x = x * (1 + self.lofit_scale[name].flatten())
            elif name in self.lofit_offset and len(self.lofit_heads[name]):
                x = x + self.offset_of(name)
        return x.to(dtype)

    def __repr__(self) -> str:
        return "lofit." + super().__repr__()
