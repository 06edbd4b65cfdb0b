"""A tuner of linear layers that checks before it changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, _maybe_include_all_linear_layers
from peft.utils import TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING
from peft.utils.error import NoMatchingPeftModuleError
from torch import nn

from .config import PlacementConfig
from .files import check_fits
from .targets import check_is_linear, linear_modules, uninjected_modules


class PlacedModel(BaseTuner):
    """A tuner of linear layers (`nn.Linear` and `Conv1D`) that checks its targets before it changes the model.

    A subclass gives the method's `title`, says in `_new_layer` what takes a layer's place, and may ask more of a
    layer in `_check_target`. Where its layers can be merged, they have `check_mergeable(adapter_names)`, which raises
    NotImplementedError for what can't be: no layer is touched before all have been asked.
    """

    title: str
    target_module_mapping = TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING

    def _new_layer(self, target: nn.Module, adapter_name: str, peft_config: PlacementConfig) -> nn.Module:
        raise NotImplementedError

    def _check_target(self, name: str, base: nn.Module, peft_config: PlacementConfig) -> None:
        """Raises TypeError for a module that is neither an `nn.Linear` nor a `Conv1D`."""
        check_is_linear(self.title, name, base)

    def _prepare_model(self, peft_config: PlacementConfig, model: nn.Module) -> None:
        _maybe_include_all_linear_layers(peft_config, model)
        for name, module in uninjected_modules(model):
            if self._check_target_module_exists(peft_config, name):
                base = module.get_base_layer() if hasattr(module, "get_base_layer") else module
                self._check_target(name, base, peft_config)

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
        peft_config: PlacementConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, self.tuner_layer_cls):
            target.update_layer(adapter_name, peft_config)
        else:
            self._replace_module(parent, target_name, self._new_layer(target, adapter_name, peft_config), target)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        if hasattr(new_module, "base_layer"):
            super()._replace_module(parent, child_name, new_module, child)
        else:
            # An unloaded module is whole. PEFT would assign its weight anew, which fails after trained tokens.
            setattr(parent, child_name, new_module)

    def _layers(self) -> Iterator[BaseTunerLayer]:
        """The layers that have adapters."""
        return (module for module in self.model.modules() if isinstance(module, self.tuner_layer_cls))

    def _cast_adapter_dtype(self, adapter_name: str, autocast_adapter_dtype: bool = True) -> None:
        # PEFT's own cast makes a frozen entry of a dictionary trainable, and does not see one that a layer only
        # refers to.
        held = [getattr(layer, name) for layer in self._layers() for name in layer.adapter_layer_names]
        for weights in held if autocast_adapter_dtype else ():
            if isinstance(weights, nn.ParameterDict) and adapter_name in weights:
                weight = weights[adapter_name]
                if weight.itemsize < torch.float32.itemsize:
                    weights[adapter_name] = nn.Parameter(weight.detach().float(), weight.requires_grad)
        super()._cast_adapter_dtype(adapter_name, autocast_adapter_dtype)

    def _check_mergeable(self, adapter_names: list[str] | None) -> None:
        for layer in self._layers():
            if hasattr(layer, "check_mergeable"):
                layer.check_mergeable(adapter_names)

    def merge_adapter(self, adapter_names: list[str] | None = None, safe_merge: bool = False) -> None:
        """Merges the adapters into the base weights, in place.

        Raises:
            NotImplementedError: one can't be merged. No weight has been touched then.
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
        cls, model: nn.Module, config: PeftConfig, adapter_name: str, state_dict: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        remapped = super()._remap_adapter_state_dict_for_load(model, config, adapter_name, state_dict)
        check_fits(model, adapter_name, cls.prefix, remapped)
        return remapped
