"""Where adapters of linear layers go: what a configuration says of it, and what a tuner checks before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, _maybe_include_all_linear_layers
from peft.utils import TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING
from peft.utils.error import NoMatchingPeftModuleError
from torch import nn
from transformers.pytorch_utils import Conv1D

from .denselora.checks import check_fits, linear_modules
from .denselora.model import uninjected_modules


@dataclass
class PlacementConfig(PeftConfig):
    """The part of a configuration that says which linear layers are adapted and what else is trained.

    Raises:
        ValueError: `bias` is unknown, or `layers_to_transform` and `layers_pattern` do not go together.
    """

    biases: ClassVar[tuple[str, ...]] = ("none", "all")

    init_weights: bool = field(
        default=True,
        metadata={"help": "Whether the adapter starts as its paper has it. False (random everywhere) is for tests."},
    )
    target_modules: list[str] | str | None = field(
        default=None,
        metadata={
            "help": (
                "Names of the modules to adapt, a regular expression, or 'all-linear'. If not given, the last linear "
                "layer of each MLP (PEFT's feed-forward modules of IA3 for the model's architecture)."
            )
        },
    )
    exclude_modules: list[str] | str | None = field(
        default=None, metadata={"help": "Names of modules not to adapt, or a regular expression."}
    )
    layers_to_transform: list[int] | int | None = field(
        default=None, metadata={"help": "The indexes of the layers to adapt. If not given, all."}
    )
    layers_pattern: list[str] | str | None = field(
        default=None,
        metadata={"help": "The name of the list of layers, where `layers_to_transform` does not find it itself."},
    )
    modules_to_save: list[str] | None = field(
        default=None, metadata={"help": "Modules that are not adapted but trained as a whole and saved."}
    )
    bias: str = field(
        default="none", metadata={"help": "The base model's biases to train: 'none', 'all' or '<method>_only'."}
    )
    trainable_token_indices: list[int] | dict[str, list[int]] | None = field(
        default=None, metadata={"help": "Tokens whose embeddings are trained, or these by name of the embedding."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list):
            self.exclude_modules = set(self.exclude_modules)
        if isinstance(self.target_modules, str) and self.layers_to_transform is not None:
            raise ValueError("`layers_to_transform` needs `target_modules` to be a list of names, not a string.")
        if self.layers_pattern and self.layers_to_transform is None:
            raise ValueError("When `layers_pattern` is specified, `layers_to_transform` must also be specified.")
        if self.bias not in self.biases:
            raise ValueError(f"`bias` must be one of {', '.join(self.biases)}, got {self.bias!r}.")


class PlacedModel(BaseTuner):
    """A tuner of linear layers (`nn.Linear` and `Conv1D`) that checks its targets before it changes the model.

    A subclass gives the method's `title`, says in `_new_layer` what takes a layer's place, and may ask more of a
    layer in `_check_target`.
    """

    title: str
    target_module_mapping = TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING

    def _new_layer(self, target: nn.Module, adapter_name: str, peft_config: PlacementConfig) -> nn.Module:
        raise NotImplementedError

    def _check_target(self, name: str, base: nn.Module, peft_config: PlacementConfig) -> None:
        """Raises TypeError for a module that is neither an `nn.Linear` nor a `Conv1D`."""
        if not isinstance(base, (nn.Linear, Conv1D)):
            raise TypeError(
                f"{self.title} can't adapt {name!r}, a {type(base).__name__}: it adapts torch.nn.Linear and "
                "transformers' Conv1D. Take it out of `target_modules` or name it in `exclude_modules`."
            )

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
            TypeError: a targeted module is not linear. The model is as it was before.
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

    def _cast_adapter_dtype(self, adapter_name: str, autocast_adapter_dtype: bool = True) -> None:
        # PEFT's own cast makes a frozen entry of a dictionary trainable, and does not see one that a layer only
        # refers to.
        layers = [module for module in self.model.modules() if isinstance(module, self.tuner_layer_cls)]
        held = [getattr(layer, name) for layer in layers for name in layer.adapter_layer_names]
        for weights in held if autocast_adapter_dtype else ():
            if isinstance(weights, nn.ParameterDict) and adapter_name in weights:
                weight = weights[adapter_name]
                if weight.itemsize < torch.float32.itemsize:
                    weights[adapter_name] = nn.Parameter(weight.detach().float(), weight.requires_grad)
        super()._cast_adapter_dtype(adapter_name, autocast_adapter_dtype)

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls, model: nn.Module, config: PeftConfig, adapter_name: str, state_dict: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        remapped = super()._remap_adapter_state_dict_for_load(model, config, adapter_name, state_dict)
        check_fits(model, adapter_name, cls.prefix, remapped)
        return remapped
