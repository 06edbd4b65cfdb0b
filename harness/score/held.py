"""How a model's weights are held while it is scored."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn


def held(model: nn.Module) -> dict[str, Any]:
    """`dtype`: the types of its floating-point weights; `merged`: whether an adapter is in the base's weights.

    Both, as batch size and padding do, decide how results are rounded.
    """
    types = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    merged = any(module.merged for module in model.modules() if isinstance(module, BaseTunerLayer))
    return {"dtype": sorted(map(_name, types)), "merged": merged}


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
