"""Injects low-rank adapters into a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTuner, _maybe_include_all_linear_layers
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from peft.utils.error import NoMatchingPeftModuleError
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..denselora.checks import check_fits, linear_modules
from ..denselora.model import uninjected_modules
from .config import LowRankConfig
from .layer import LowRankLayer, keeps_trainability


class LowRankModel(BaseTuner):
    """A model with adapters of one low-rank method, each layer with matrices of its own.

    A tuner names its layer (`tuner_layer_cls`) and prefix.
    """

    tuner_layer_cls: type[LowRankLayer]
    target_module_mapping = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    def check_target(self, config: LowRankConfig, name: str, base: nn.Module) -> None:
        """Checks that there is a layer for a targeted module, before anything is changed.

        Raises:
            TypeError: the module is neither an `nn.Linear` nor a `Conv1D`.
        """
        if not isinstance(base, (nn.Linear, Conv1D)):
            raise TypeError(
                f"{self.tuner_layer_cls.title} can't adapt {name!r}, a {type(base).__name__}: it adapts "
                "torch.nn.Linear and transformers' Conv1D. Take it out of `target_modules` or name it in "
                "`exclude_modules`."
            )

    def _prepare_model(self, peft_config: LowRankConfig, model: nn.Module) -> None:
        _maybe_include_all_linear_layers(peft_config, model)
        for key, module in uninjected_modules(model):
            if self._check_target_module_exists(peft_config, key):
                base = module.get_base_layer() if hasattr(module, "get_base_layer") else module
                self.check_target(peft_config, key, base)

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """Adds an adapter; one that has the name already is replaced.

        Raises:
            NoMatchingPeftModuleError: no module is targeted (a ValueError; it names the linear modules there are).
            TypeError, ValueError: a targeted module can't be adapted. The model is as it was before.
        """
        try:
            super().inject_adapter(model, adapter_name, *args, **kwargs)
        except NoMatchingPeftModuleError as error:
            raise NoMatchingPeftModuleError(
                f"{error} Linear modules of the model: {linear_modules(model)}."
            ) from error

    def _create_and_replace(
        self,
        peft_config: LowRankConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, self.tuner_layer_cls):
            target.update_layer(adapter_name, peft_config)
            return
        layer = self.tuner_layer_cls(target, adapter_name, peft_config)
        self._replace_module(parent, target_name, layer, target)

    def _low_rank_layers(self) -> Iterator[LowRankLayer]:
        return (module for module in self.model.modules() if isinstance(module, LowRankLayer))

    def _cast_adapter_dtype(self, adapter_name: str, autocast_adapter_dtype: bool = True) -> None:
        with keeps_trainability(self._low_rank_layers(), adapter_name):
            super()._cast_adapter_dtype(adapter_name, autocast_adapter_dtype)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        if hasattr(new_module, "base_layer"):
            super()._replace_module(parent, child_name, new_module, child)
        else:
            # An unloaded module is whole. PEFT would assign its weight anew, which fails after trained tokens.
            setattr(parent, child_name, new_module)

    def _check_mergeable(self, adapter_names: list[str] | None) -> None:
        """Refuses a merge before any layer is touched (see `LowRankLayer.check_mergeable`)."""
        for layer in self._low_rank_layers():
            layer.check_mergeable(adapter_names)

    def merge_adapter(self, adapter_names: list[str] | None = None, safe_merge: bool = False) -> None:
        """Adds the adapters to the base weights, in place.

        Raises:
            NotImplementedError: the base weights are quantized.
        """
        self._check_mergeable(adapter_names)
        super().merge_adapter(adapter_names=adapter_names, safe_merge=safe_merge)

    def _unload_and_optionally_merge(
        self,
        merge: bool = True,
        progressbar: bool = False,
        safe_merge: bool = False,
        adapter_names: list[str] | None = None,
    ) -> nn.Module:
        if merge:
            self._check_mergeable(adapter_names)
        return super()._unload_and_optionally_merge(merge, progressbar, safe_merge, adapter_names)

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls, model: nn.Module, config: LowRankConfig, adapter_name: str, state_dict: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        remapped = super()._remap_adapter_state_dict_for_load(model, config, adapter_name, state_dict)
        check_fits(model, adapter_name, cls.prefix, remapped)
        return remapped
