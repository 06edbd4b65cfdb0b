"""Injects Compacter into a model: which matrices all layers share, and how they are kept together."""

from __future__ import annotations

from typing import Any, NoReturn

from peft import PeftConfig
from peft.tuners.tuners_utils import _get_in_out_features
from torch import nn

from ..placement import PlacedModel
from .config import CompacterConfig
from .layer import NOT_MERGEABLE, CompacterLayer, Linear


class CompacterModel(PlacedModel):
    """A model with Compacter adapters (see `CompacterConfig` for the equations and the paper).

    In a Llama block they stand on `o_proj` and `down_proj`: behind attention and MLP, before the residual is added.
    On `down_proj` alone it is the paper's Compacter++.

    The tuner owns the shared matrices (`compacter_A.<adapter>`), the layers refer to them: a shared tensor is one
    parameter with one name, in the model as in a saved adapter.
    Trainable parameters: n^3 + sum over the adapted layers of (2 r + 1) (d + k).
    """

    uses_shared_state: bool = True
    title: str = "Compacter"
    prefix: str = "compacter_"
    tuner_layer_cls = CompacterLayer

    def _pre_injection_hook(self, model: nn.Module, config: PeftConfig, adapter_name: str) -> None:
        # A model may have layers of another tuner already, as when `get_peft_model` is called on it a second time.
        found = (module.compacter_A for module in model.modules() if isinstance(module, CompacterLayer))
        self.compacter_A = next(found, nn.ParameterDict())

    def _check_target(self, name: str, base: nn.Module, peft_config: CompacterConfig) -> None:
        super()._check_target(name, base, peft_config)
        out_features = _get_in_out_features(base)[1]
        if out_features % peft_config.n:
            raise ValueError(
                f"Compacter can't adapt {name!r}: its output size {out_features} is no multiple of n={peft_config.n}. "
                "Choose another `n` or other `target_modules`."
            )

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """Adds an adapter as `PlacedModel` does.

        Raises:
            ValueError: n does not divide a targeted layer's output size. The model is as it was before.
        """
        if adapter_name in self.compacter_A:
            del self.compacter_A[adapter_name]
        # PEFT keeps the trainability of what an injection finds there, for parameters that it sees on the model.
        found = [(weight, weight.requires_grad) for weight in self.compacter_A.values()]
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        for weight, requires_grad in found:
            weight.requires_grad_(requires_grad)

    def _new_layer(self, target: nn.Module, adapter_name: str, peft_config: CompacterConfig) -> Linear:
        return Linear(target, adapter_name, peft_config, self.compacter_A)

    def _check_merge_allowed(self) -> NoReturn:
        raise NotImplementedError(NOT_MERGEABLE)
