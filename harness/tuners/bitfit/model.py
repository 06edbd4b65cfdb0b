"""Injects BitFit into a model."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from transformers.pytorch_utils import Conv1D

from ..placement import PlacedModel, uninjected_modules
from .config import BitFitConfig
from .layer import Biased, BitFitLayer


class BitFitModel(PlacedModel):
    """A model whose biases are trained (see `BitFitConfig` for the equation and the paper).

    Trainable parameters: as many as the targeted biases have elements.
    """

    title: str = "BitFit"
    prefix: str = "bitfit_"
    tuner_layer_cls = BitFitLayer

    def _prepare_adapter_config(self, peft_config: BitFitConfig, model_config: dict) -> BitFitConfig:
        """Raises ValueError for a model that has no biases."""
        if peft_config.target_modules is None:
            found = set(self._with_bias())
            if not found:
                raise ValueError(
                    "BitFit trains the biases that a model has, and this one has none (a Llama, say). BEFT "
                    "(`peft.BeftConfig`) adds biases of its own to the value projections."
                )
            peft_config.target_modules = found
        return peft_config

    def _with_bias(self) -> Iterator[str]:
        output = self.model.get_output_embeddings() if hasattr(self.model, "get_output_embeddings") else None
        for name, module in uninjected_modules(self.model):
            base = module.get_base_layer() if isinstance(module, BitFitLayer) else module
            if base is not output and _adds_its_bias_last(base) and base.bias is not None:
                yield name

    def _check_target(self, name: str, base: nn.Module, peft_config: BitFitConfig) -> None:
        """Raises TypeError for a module that does not add a bias last, ValueError for one that has no bias."""
        if not _adds_its_bias_last(base):
            raise TypeError(
                f"BitFit can't adapt {name!r}, a {type(base).__name__}: it adapts torch.nn.Linear, torch.nn.LayerNorm "
                "and transformers' Conv1D. Take it out of `target_modules` or name it in `exclude_modules`."
            )
        if base.bias is None:
            raise ValueError(
                f"BitFit trains the biases that a model has, and {name!r} has none. Take it out of `target_modules`, "
                "or give none: then every bias that there is is trained. BEFT (`peft.BeftConfig`) adds biases "
                "to layers that have none."
            )

    def _new_layer(self, target: nn.Module, adapter_name: str, peft_config: BitFitConfig) -> Biased:
        return Biased(target, adapter_name, peft_config)


def _adds_its_bias_last(module: nn.Module) -> bool:
    return isinstance(module, (nn.Linear, nn.LayerNorm, Conv1D))
