"""Injects DenseLoRA into a model: which layers share what, what is saved, what may be merged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTunerLayer, _get_in_out_features
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from torch import nn

from ..placement import PlacedModel, uninjected_modules
from .checks import check_placement
from .config import DenseLoraConfig
from .layer import DenseLoraLayer, Linear


class SharedWeights(nn.Module):
    """The dictionaries that layers share, by group. An entry of such a dictionary is one adapter's encoder or decoder.

    It is no `nn.ModuleDict`, because PEFT takes one on a tuner to be keyed by adapter and then loads nothing into it.
    """

    def group(self, name: str) -> nn.ParameterDict:
        """Returns the dictionary of a group, which it creates if there is none."""
        if name not in self._modules:
            self.add_module(name, nn.ParameterDict())
        return self._modules[name]


def group_of(module_name: str, module: nn.Module, shared: bool = True) -> str:
    """Returns the group of a layer: the last component of its name and its sizes, such as `q_proj_4096x1024`.

    Not shared, a layer is a group of its own, under its whole name: `layers_0_self_attn_q_proj_4096x1024`.
    """
    base = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
    in_features, out_features = _get_in_out_features(base)
    name = module_name.rpartition(".")[2] if shared else module_name.replace(".", "_")
    return f"{name}_{in_features}x{out_features}"


def check_group(module_name: str, module: nn.Module, config: DenseLoraConfig) -> None:
    """Checks that an adapter belongs to the group that the layer's earlier adapters belong to.

    Raises:
        ValueError: one of them shares its encoder and decoder with other layers, and the other does not.
    """
    if not isinstance(module, DenseLoraLayer):
        return
    if module.group != group_of(module_name, module, config.share_encoder_decoder):
        raise ValueError(
            f"The module {module_name} has a DenseLoRA adapter with share_encoder_decoder="
            f"{not config.share_encoder_decoder} already. Adapters of one model must agree in it; load this one on a "
            "base model of its own."
        )


class DenseLoraModel(PlacedModel):
    """A model with DenseLoRA adapters (the DenseLoRA paper, section 3).

    The tuner owns the encoders and decoders (`denselora_encoder.<group>.<adapter>`); the layers refer to them and own
    a `denselora_M.<adapter>` each. So a shared tensor is one parameter with one name, in the model as in a saved
    adapter, and under FSDP it belongs to the unit that holds the tuner: the root.
    Trainable parameters: r · Σ_groups (in + out) + layers · r². Without sharing, each layer is a group.
    """

    uses_shared_state: bool = True
    title: str = "DenseLoRA"
    prefix: str = "denselora_"
    tuner_layer_cls = DenseLoraLayer
    target_module_mapping = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    def _pre_injection_hook(self, model: nn.Module, config: PeftConfig, adapter_name: str) -> None:
        self.denselora_encoder = SharedWeights()
        self.denselora_decoder = SharedWeights()
        # A model that has adapters of another tuner already, as when `get_peft_model` is called on it a second time.
        for layer in self._dense_layers():
            self.denselora_encoder.add_module(layer.group, layer.denselora_encoder)
            self.denselora_decoder.add_module(layer.group, layer.denselora_decoder)

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """Adds an adapter; one that has the name already is replaced.

        Raises:
            NoMatchingPeftModuleError: no module is targeted (a ValueError; it names the linear modules there are).
            TypeError: a targeted module is none that DenseLoRA can adapt. The model is as it was before.
            ValueError: it shares encoders and decoders, and an earlier adapter does not, or the other way round.
            NotImplementedError: the model is partitioned by DeepSpeed's ZeRO-3.
        """
        check_placement()
        for weights in self._dictionaries():
            if adapter_name in weights:
                del weights[adapter_name]
        # PEFT keeps the trainability of what an injection finds there, for parameters that it sees on the model.
        found = [
            (w, w.requires_grad)
            for part in (self.denselora_encoder, self.denselora_decoder)
            for w in part.parameters()
        ]
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        for weight, requires_grad in found:
            weight.requires_grad_(requires_grad)

    def _prepare_model(self, peft_config: DenseLoraConfig, model: nn.Module) -> None:
        super()._prepare_model(peft_config, model)
        for name, module in uninjected_modules(model):
            if self._check_target_module_exists(peft_config, name):
                check_group(name, module, peft_config)

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
        group = group_of(current_key, target, peft_config.share_encoder_decoder)
        encoder, decoder = self.denselora_encoder.group(group), self.denselora_decoder.group(group)
        layer = Linear(target, adapter_name, peft_config, group, encoder, decoder)
        self._replace_module(parent, target_name, layer, target)

    def _dense_layers(self) -> Iterator[DenseLoraLayer]:
        return (module for module in self.model.modules() if isinstance(module, DenseLoraLayer))

    def _dictionaries(self) -> Iterator[nn.ParameterDict]:
        """All dictionaries by adapter: the groups' encoders and decoders, the layers' matrices."""
        yield from self.denselora_encoder.children()
        yield from self.denselora_decoder.children()
        yield from (layer.denselora_M for layer in self._dense_layers())
