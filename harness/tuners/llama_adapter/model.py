"""Injects LLaMA-Adapter into a model."""

from __future__ import annotations

from typing import Any

from peft import AdaptionPromptConfig, AdaptionPromptModel, PeftConfig
from torch import nn

from .config import LlamaAdapterConfig

LOWEST = 2
"""The layers that have no prompt unless the configuration says otherwise: the paper takes 30 of LLaMA-7B's 32."""


class LlamaAdapterModel(AdaptionPromptModel):
    """PEFT's AdaptionPromptModel (see `LlamaAdapterConfig` for the equation), with two things that it lacks.

    The number of adapted layers follows the model. And the base model's forward is looked up when it is called: PEFT
    keeps the one that the base has when the adapter is made, and SFTTrainer gives the base another one afterwards,
    which computes the loss.

    Trainable parameters: adapted layers * (adapter_len * d + 1). A saved adapter is in PEFT's own format: its
    configuration is an `AdaptionPromptConfig`, which needs nothing of this package.
    """

    prefix: str = "adaption_"

    def __init__(self, model: nn.Module, configs: dict[str, PeftConfig], adapter_name: str) -> None:
        super().__init__(model, configs, adapter_name)
        del self.__dict__["forward"]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the base model computes with its adapted attention."""
        return self.model(*args, **kwargs)

    def add_adapter(self, adapter_name: str, config: PeftConfig) -> None:
        """Adds an adapter; a `LlamaAdapterConfig` becomes PEFT's configuration for this model.

        Raises:
            ValueError: the model is none that PEFT knows adaption prompts for, or has fewer layers than asked for.
        """
        if isinstance(config, LlamaAdapterConfig):
            config = _for_model(config, self.model)
        super().add_adapter(adapter_name, config)


def _for_model(config: LlamaAdapterConfig, model: nn.Module) -> AdaptionPromptConfig:
    arguments = {**vars(config)}
    del arguments["peft_type"]
    if config.adapter_layers is None:
        layers = model.config.num_hidden_layers
        arguments["adapter_layers"] = max(1, layers - LOWEST)
    return AdaptionPromptConfig(**arguments)
