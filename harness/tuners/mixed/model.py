"""Injects a mixture of adapters into a model."""

from __future__ import annotations

import re
from typing import Any

from peft import LoraConfig
from peft.tuners.lora import LoraLayer, LoraModel
from peft.tuners.tuners_utils import BaseTunerLayer, _maybe_include_all_linear_layers, check_target_module_exists
from torch import nn

from ..denselora import DenseLoraConfig, DenseLoraLayer, DenseLoraModel
from ..denselora.model import check_group, group_of
from ..placement import check_is_linear, linear_modules, uninjected_modules
from .config import MixedConfig


class MixedModel(DenseLoraModel):
    """A model with LoRA on some modules and DenseLoRA on others: one adapter name, one configuration, one file.

    PEFT's own `PeftMixedModel` can't be saved and takes no tuner from outside; two nested `PeftModel`s lose one of the
    two on loading. Here each module gets the layer that its part's tuner makes for it. What layers share, how it is
    saved and what may be merged is as in `DenseLoraModel`.
    """

    # The layers' parameters are named `lora_*` and `denselora_*`, and PEFT looks for the prefix inside of the names.
    prefix: str = "lora_"
    tuner_layer_cls = (LoraLayer, DenseLoraLayer)
    _create_new_module = staticmethod(LoraModel._create_new_module)

    def _prepare_adapter_config(self, peft_config: MixedConfig, model_config: dict[str, Any]) -> MixedConfig:
        for part in peft_config.parts:
            super()._prepare_adapter_config(part, model_config)
        return peft_config

    def _prepare_model(self, peft_config: MixedConfig, model: nn.Module) -> None:
        for part in peft_config.parts:
            _maybe_include_all_linear_layers(part, model)
        _check_targets(peft_config, model)

    @staticmethod
    def _check_target_module_exists(peft_config: MixedConfig, key: str) -> bool:
        return bool(parts_of(peft_config, key))

    def _create_and_replace(
        self,
        peft_config: MixedConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        part = peft_config.parts[parts_of(peft_config, current_key)[0]]
        tuner = LoraModel if isinstance(part, LoraConfig) else DenseLoraModel
        # LoRA's method asks nothing of the tuner that calls it but what every BaseTuner has and `_create_new_module`.
        tuner._create_and_replace(self, part, adapter_name, target, target_name, parent, current_key)


def parts_of(config: MixedConfig, key: str) -> list[int]:
    """Returns the indexes of the parts that adapt the module `key`."""
    if _is_saved_whole(config, key):
        return []
    return [index for index, part in enumerate(config.parts) if check_target_module_exists(part, key)]


def _is_saved_whole(config: MixedConfig, key: str) -> bool:
    return any(re.match(rf"(^|.*\.){name}($|\..*)", key) for name in config.modules_to_save or ())


def _check_targets(config: MixedConfig, model: nn.Module) -> None:
    """Checks the mixture on the model's modules, before anything is injected.

    Raises:
        ValueError: a module belongs to two parts, has an adapter of another method already, two DenseLoRA parts would
            share one encoder and decoder, a DenseLoRA part shares them where an earlier adapter does not or the
            other way round, or a part has no module.
        TypeError: a DenseLoRA part targets a module that DenseLoRA can't adapt.
    """
    owners: dict[str, int] = {}
    unmatched = set(range(len(config.parts)))
    for key, module in uninjected_modules(model):
        parts = parts_of(config, key)
        unmatched.difference_update(parts)
        if len(parts) > 1:
            raise ValueError(
                f"The module {key} belongs to parts[{parts[0]}] and parts[{parts[1]}]. Each module can have one "
                "adapter of a mixture: take it out of one of them with `target_modules` or `exclude_modules`."
            )
        if not parts:
            continue
        is_dense = isinstance(config.parts[parts[0]], DenseLoraConfig)
        if isinstance(module, BaseTunerLayer) and isinstance(module, DenseLoraLayer) != is_dense:
            raise ValueError(
                f"The module {key} has an adapter of another method already. Adapters of one model that are mixtures "
                "must have the same method on the same modules; load this one on a base model of its own."
            )
        if not is_dense:
            continue
        check_is_linear("DenseLoRA", key, module)
        check_group(key, module, config.parts[parts[0]])
        group = group_of(key, module, config.parts[parts[0]].share_encoder_decoder)
        if owners.setdefault(group, parts[0]) != parts[0]:
            raise ValueError(
                f"parts[{owners[group]}] and parts[{parts[0]}] are both DenseLoRA on modules of the group {group}, "
                "which has one encoder and one decoder. Make them one part."
            )
    if unmatched:
        missing = ", ".join(f"parts[{i}] ({config.parts[i].target_modules})" for i in sorted(unmatched))
        raise ValueError(
            f"Target modules not found in the base model: {missing}. Linear modules of the model: "
            f"{linear_modules(model)}."
        )
