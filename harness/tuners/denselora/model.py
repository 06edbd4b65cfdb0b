"""Injects DenseLoRA into a model, and decides what of it is saved."""

from __future__ import annotations

import re
from typing import Any

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, _get_in_out_features
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from torch import nn
from transformers.pytorch_utils import Conv1D

from .config import DenseLoraConfig
from .layer import DenseLoraLayer, Linear

# A layer's key is `<layer>.denselora_encoder.<adapter>`, the tuner's own is `denselora_encoder.<group>.<adapter>`.
_ALIAS = re.compile(r"\.denselora_(?:encoder|decoder)\.[^.]+$")


class SharedWeights(nn.Module):
    """The dictionaries that layers share, by group. An entry of such a dictionary is one adapter's encoder or decoder.

    It is no `nn.ModuleDict`, because PEFT takes one on a tuner to be keyed by adapter and then loads nothing into it.
    """

    def group(self, name: str) -> nn.ParameterDict:
        """Returns the dictionary of a group, which it creates if there is none."""
        if name not in self._modules:
            self.add_module(name, nn.ParameterDict())
        return self._modules[name]


def group_of(module_name: str, module: nn.Module) -> str:
    """Returns the group of a layer: the last component of its name and its sizes, such as `q_proj_4096x1024`."""
    base = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
    in_features, out_features = _get_in_out_features(base)
    return f"{module_name.rpartition('.')[2]}_{in_features}x{out_features}"


class DenseLoraModel(BaseTuner):
    """A model with DenseLoRA adapters (the DenseLoRA paper, section 3).

    The tuner holds the encoders and decoders (`denselora_encoder.<group>.<adapter>`); the layers hold references to
    them and a `denselora_M.<adapter>` of their own. A saved adapter has each shared tensor once, under the tuner's
    name. Trainable parameters: r · Σ_groups (in + out) + layers · r².
    """

    uses_shared_state: bool = True
    prefix: str = "denselora_"
    tuner_layer_cls = DenseLoraLayer
    target_module_mapping = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    def _pre_injection_hook(self, model: nn.Module, config: PeftConfig, adapter_name: str) -> None:
        self.denselora_encoder = SharedWeights()
        self.denselora_decoder = SharedWeights()

    def _create_and_replace(
        self,
        peft_config: DenseLoraConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, DenseLoraLayer):
            target.update_layer(adapter_name, peft_config)
            return
        base = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        if not isinstance(base, (nn.Linear, Conv1D)):
            raise TypeError(
                f"DenseLoRA can't adapt {current_key!r}, a {type(base).__name__}: it adapts torch.nn.Linear and "
                "transformers' Conv1D. Take it out of `target_modules` or name it in `exclude_modules`."
            )
        group = group_of(target_name, target)
        encoder, decoder = self.denselora_encoder.group(group), self.denselora_decoder.group(group)
        layer = Linear(target, adapter_name, peft_config, group, encoder, decoder)
        self._replace_module(parent, target_name, layer, target)

    def _check_mergeable(self, adapter_names: list[str] | None) -> None:
        """Refuses a merge before any layer is touched (see `DenseLoraLayer.check_mergeable`)."""
        for module in self.model.modules():
            if isinstance(module, DenseLoraLayer):
                module.check_mergeable(adapter_names)

    def merge_adapter(self, adapter_names: list[str] | None = None, safe_merge: bool = False) -> None:
        """Adds the adapters to the base weights, in place.

        Raises:
            NotImplementedError: an adapter is not linear in its input, or the base weights are quantized.
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
    def _get_adapter_state_dict(
        cls, model: nn.Module, config: PeftConfig, adapter_name: str, *args: Any, **kwargs: Any
    ) -> dict[str, torch.Tensor]:
        selected = super()._get_adapter_state_dict(model, config, adapter_name, *args, **kwargs)
        return {key: value for key, value in selected.items() if not _ALIAS.search(key)}

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls, model: nn.Module, config: PeftConfig, adapter_name: str, state_dict: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        remapped = super()._remap_adapter_state_dict_for_load(model, config, adapter_name, state_dict)
        return {**remapped, **_aliases(model, adapter_name, remapped)}


def _aliases(model: nn.Module, adapter_name: str, state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the layers' names of the shared tensors in `state_dict`, so that PEFT reports no missing key."""
    tuner_prefix = next((f"{name}." for name, m in model.named_modules() if isinstance(m, BaseTuner) and name), "")
    aliases = {}
    for name, module in model.named_modules():
        if not isinstance(module, DenseLoraLayer):
            continue
        for attribute in ("denselora_encoder", "denselora_decoder"):
            shared = f"{tuner_prefix}{attribute}.{module.group}.{adapter_name}"
            if shared in state_dict:
                aliases[f"{name}.{attribute}.{adapter_name}"] = state_dict[shared]
    return aliases
