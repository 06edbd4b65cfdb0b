"""The edit of what one decoder layer gives out."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from .config import LoReftConfig
from .positions import Positions
from .prompts import Prompts

NOT_MERGEABLE = (
    "LoReFT can't be merged: it edits some tokens and not others, and the residual stream between two layers, where "
    "there is no weight. Keep the adapter beside the base model (`save_pretrained`, `PeftModel.from_pretrained`) or "
    "remove it with `unload()`."
)


def orthonormal_rows(weight: torch.Tensor) -> torch.Tensor:
    """Returns R of weight = L R with orthonormal rows and L lower triangular, its diagonal positive.

    weight and R: (r, d). A smooth function of the weight, and the identity where its rows are orthonormal already.
    """
    # `cholesky` itself would stop a GPU for its check; not-a-number goes on into the loss, where it is found.
    lower = torch.linalg.cholesky_ex(weight @ weight.mT).L
    return torch.linalg.solve_triangular(lower, weight, upper=False)


class LoReftLayer(nn.Module, BaseTunerLayer):
    """The adapters of one decoder layer, whose child it is and whose output it edits through a hook.

    `loreft_rotation[name]`, from which R is made, and `loreft_weight[name]`, W: (interventions, r, d);
    `loreft_bias[name]`, b: (interventions, r).

    The decoder layer is not wrapped: transformers reads its attributes, knows it by its class when it records hidden
    states, and a hook edits before they are recorded.
    """

    adapter_layer_names: tuple[str, ...] = ("loreft_rotation", "loreft_weight", "loreft_bias")
    other_param_names: tuple[str, ...] = ("loreft_dropout", "positions")

    def __init__(
        self, decoder: nn.Module, width: int, prompts: Prompts, adapter_name: str, config: LoReftConfig
    ) -> None:
        super().__init__()
        self.width, self.prompts = width, prompts
        self.positions: dict[str, Positions] = {}
        self.loreft_rotation = nn.ParameterDict()
        self.loreft_weight = nn.ParameterDict()
        self.loreft_bias = nn.ParameterDict()
        self.loreft_dropout = nn.ModuleDict()
        self._disable_adapters = False
        self.merged_adapters = []
        # In a tuple, because a module's parent must not be its child.
        self._decoder = (decoder,)
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)
        self._hook = decoder.register_forward_hook(self._edit_output, prepend=True)

    def get_base_layer(self) -> nn.Module:
        """Returns the decoder layer."""
        return self._decoder[0]

    def update_layer(self, adapter_name: str, config: LoReftConfig) -> None:
        """Adds an adapter: R orthogonal, W and b as those of an `nn.Linear` (released code)."""
        shape = config.interventions, config.r, self.width
        rotation, weight, bias = torch.empty(shape), torch.empty(shape), torch.empty(shape[:2])
        for index in range(config.interventions):
            nn.init.orthogonal_(rotation[index])
            nn.init.kaiming_uniform_(weight[index], a=math.sqrt(5))
        nn.init.uniform_(bias, -(self.width**-0.5), self.width**-0.5)
        self.loreft_rotation[adapter_name] = nn.Parameter(rotation)
        self.loreft_weight[adapter_name] = nn.Parameter(weight)
        self.loreft_bias[adapter_name] = nn.Parameter(bias)
        self.loreft_dropout[adapter_name] = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.positions[adapter_name] = Positions.parse(config.positions)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """h: (batch, seq, d) -> (batch, seq, d), edited by the active adapters in their order, in h's dtype."""
        for name in self.active_adapters:
            if name in self.loreft_rotation:
                h = self._edited(name, h)
        return h

    def _edited(self, name: str, h: torch.Tensor) -> torch.Tensor:
        if self.positions[name].everywhere:
            return self._intervened(name, 0, h)
        chosen = self.prompts.selected(self.positions[name], len(self.loreft_rotation[name]))
        for index, (rows, columns) in enumerate(chosen):
            at = rows.to(h.device), columns.to(h.device)
            h = h.index_put(at, self._intervened(name, index, h[at]))
        return h

    def _intervened(self, name: str, index: int, h: torch.Tensor) -> torch.Tensor:
        """h: (..., d) -> dropout(h + R^T (W h + b - R h)), computed in float32 or wider."""
        held = (getattr(self, weights)[name][index] for weights in self.adapter_layer_names)
        with torch.autocast(h.device.type, enabled=False):
            rotation, weight, bias = (each.to(torch.promote_types(each.dtype, torch.float32)) for each in held)
            rotation = orthonormal_rows(rotation)
            wide = h.to(rotation.dtype)
            edited = wide + F.linear(wide, weight - rotation, bias) @ rotation
        return self.loreft_dropout[name](edited).to(h.dtype)

    def _edit_output(self, decoder: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if self.disable_adapters:
            return output
        if isinstance(output, tuple):
            return (self(output[0]), *output[1:])
        return self(output)

    def _get_base_layer_device_and_dtype(
        self, base_layer: nn.Module
    ) -> tuple[torch.device | None, torch.dtype | None]:
        for parameter in base_layer.parameters():
            if parameter.is_floating_point():
                return parameter.device, parameter.dtype
        return None, None

    def remove(self) -> None:
        """Takes the hook off the decoder layer."""
        self._hook.remove()

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Raises NotImplementedError with the reason."""
        raise NotImplementedError(NOT_MERGEABLE)

    def unmerge(self) -> None:
        """Raises NotImplementedError with the reason."""
        raise NotImplementedError(NOT_MERGEABLE)
