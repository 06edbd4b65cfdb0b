"""MonteCLoRA as PEFT has it (Seth et al. 2025, arXiv 2411.04358), countable where there are no weights.

The adapter is PEFT's and is saved and loaded as a LoRA of PEFT's. PEFT puts off a layer's sampler until there are
weights; without them its two trained vectors would be missing from the count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig
from torch import nn
from transformers.pytorch_utils import Conv1D

from .lora_layer import LoraLinear


class CountableLinear(LoraLinear):
    """A MonteCLoRA layer that holds its sampler's vectors on the meta device, too."""

    def update_layer(self, adapter_name: str, r: int, lora_alpha: int, config: LoraConfig, **kwargs: Any) -> None:
        """Adds an adapter; without weights, it can be counted and no more."""
        super().update_layer(adapter_name, r, lora_alpha=lora_alpha, config=config, **kwargs)
        if self.lora_A[adapter_name].weight.is_meta and config.monteclora_config is not None:
            sizes = {"std_prior": r, "expert_weights_prior": config.monteclora_config.num_samples}
            vectors = {name: nn.Parameter(torch.empty(size, device="meta")) for name, size in sizes.items()}
            self.lora_monteclora_sampler[adapter_name] = nn.ParameterDict(vectors)


@dataclass
class MonteCloraConfig(LoraConfig):
    """PEFT's LoRA configuration with `monteclora_config`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._register_custom_module({nn.Linear: CountableLinear, Conv1D: CountableLinear})
