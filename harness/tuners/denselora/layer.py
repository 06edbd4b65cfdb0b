"""The adapted linear layer."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, _get_in_out_features
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..placement import MergesIntoWeight, can_be_added_to, kaiming
from .config import DenseLoraConfig, make_activation
from .function import Recipe, adapt


class DenseLoraLayer(BaseTunerLayer):
    """The adapters of one layer.

    `denselora_M[name]`: (r, r) belongs to this layer. `denselora_encoder[name]`: (r, in) and
    `denselora_decoder[name]`: (out, r) are entries of two dictionaries that all layers of a group hold in common.
    What is shared is the dictionary, not the parameter: PEFT replaces entries when it moves or casts an adapter, and
    so a replaced entry is replaced for the whole group. The layer refers to the dictionaries without registering them
    as submodules: they belong to the tuner, under whose name alone a module tree, a state dict or FSDP sees them.
    """

    adapter_layer_names: tuple[str, ...] = ("denselora_M", "denselora_encoder", "denselora_decoder")
    other_param_names: tuple[str, ...] = ("r", "scaling", "activations", "is_linear", "denselora_dropout")

    def __init__(
        self, base_layer: nn.Module, group: str, encoder: nn.ParameterDict, decoder: nn.ParameterDict
    ) -> None:
        self.base_layer = base_layer
        self.group = group
        self.r: dict[str, int] = {}
        self.scaling: dict[str, float] = {}
        self.activations: dict[str, tuple[nn.Module, nn.Module]] = {}
        self.is_linear: dict[str, bool] = {}
        self.denselora_dropout = nn.ModuleDict()
        self.denselora_M = nn.ParameterDict()
        # An assignment would register them.
        self.__dict__["denselora_encoder"] = encoder
        self.__dict__["denselora_decoder"] = decoder
        self.frozen_peft_weight_names = {}
        self._disable_adapters = False
        self.cast_input_dtype_enabled = True
        self.merged_adapters = []
        self.in_features, self.out_features = _get_in_out_features(self.get_base_layer())

    def update_layer(self, adapter_name: str, config: DenseLoraConfig) -> None:
        """Adds an adapter to this layer; the first layer of a group creates the group's encoder and decoder."""
        self.r[adapter_name] = config.r
        self.scaling[adapter_name] = config.alpha / config.r
        self.activations[adapter_name] = (
            make_activation(config.activation),
            make_activation(config.decoder_activation_name),
        )
        self.is_linear[adapter_name] = config.is_linear
        self.denselora_dropout[adapter_name] = nn.Dropout(config.dropout) if config.dropout > 0 else nn.Identity()
        self.denselora_M[adapter_name] = kaiming(config.r, config.r)
        if adapter_name not in self.denselora_encoder:
            self.denselora_encoder[adapter_name] = kaiming(config.r, self.in_features)
            self.denselora_decoder[adapter_name] = kaiming(self.out_features, config.r)
        if config.init_weights:
            # A frozen decoder at zero would adapt nothing, so there it is M that starts at zero.
            start = self.denselora_decoder if config.train_encoder_decoder else self.denselora_M
            nn.init.zeros_(start[adapter_name])
        if not config.train_encoder_decoder:
            self.frozen_peft_weight_names[adapter_name] = ("denselora_encoder", "denselora_decoder")
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: torch.device | None = None) -> None:
        # Where PEFT casts an entry of a dictionary, it puts a trainable one in its place.
        held = [weights for name in self.adapter_layer_names if adapter_name in (weights := getattr(self, name))]
        frozen = [weights for weights in held if not weights[adapter_name].requires_grad]
        super()._move_adapter_to_device_of_base_layer(adapter_name, device)
        for weights in frozen:
            weights[adapter_name].requires_grad_(False)

    def check_mergeable(self, adapter_names: list[str] | None = None) -> None:
        """Checks, without touching a weight, that the given adapters (default: the active ones) can be merged.

        Raises:
            NotImplementedError: an adapter is not linear in its input, or the base weights are quantized.
        """
        names = self.active_adapters if adapter_names is None else adapter_names
        for name in names:
            if not self.is_linear.get(name, True):
                raise NotImplementedError(
                    f"The DenseLoRA adapter {name!r} can't be merged: its activations make it non-linear in the "
                    "layer's input, so no weight matrix equals it. Keep it beside the base model (`save_pretrained`, "
                    "`PeftModel.from_pretrained`), remove it with `unload()`, or train with activation='identity'."
                )
            if name in self.denselora_M and not can_be_added_to(self.get_base_layer().weight):
                raise NotImplementedError(
                    f"The DenseLoRA adapter {name!r} can't be merged into quantized weights. Load the base model "
                    "without quantization and the adapter on top of it, and merge there."
                )


class Linear(nn.Module, MergesIntoWeight, DenseLoraLayer):
    """DenseLoRA on an `nn.Linear` or a `Conv1D` (paper, equations 3 to 5; dropout and scaling: released code)."""

    def __init__(
        self,
        base_layer: nn.Module,
        adapter_name: str,
        config: DenseLoraConfig,
        group: str,
        encoder: nn.ParameterDict,
        decoder: nn.ParameterDict,
    ) -> None:
        super().__init__()
        DenseLoraLayer.__init__(self, base_layer, group, encoder, decoder)
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def get_delta_weight(self, adapter: str) -> torch.Tensor:
        """Returns (alpha / r) D M E in the shape of the base weight: (out, in), for `Conv1D` (in, out).

        It is the adapter's effect only where the adapter is linear.
        """
        M = self.denselora_M[adapter]
        E, D = self.denselora_encoder[adapter].to(M.device), self.denselora_decoder[adapter].to(M.device)
        delta = self.scaling[adapter] * (D @ M @ E)
        return delta.T if isinstance(self.get_base_layer(), Conv1D) else delta

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """x: (..., in) -> (..., out), in the base layer's dtype."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        result = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        for name in self.active_adapters:
            if name in self.denselora_M:
                result = self._adapt(result, x, name)
        return result

    def _adapt(self, result: torch.Tensor, x: torch.Tensor, adapter: str) -> torch.Tensor:
        M = self.denselora_M[adapter]
        # With the layers of a group on several devices, the pair lies on one of them.
        E, D = self.denselora_encoder[adapter].to(M.device), self.denselora_decoder[adapter].to(M.device)
        encode, decode = self.activations[adapter]
        drop = self.denselora_dropout[adapter]
        dropout = drop.p if drop.training and isinstance(drop, nn.Dropout) else 0.0
        recipe = Recipe(encode, decode, self.scaling[adapter], dropout, self._compute_dtype(x, E))
        return adapt(result, x, E, M, D, recipe)

    def _compute_dtype(self, x: torch.Tensor, E: torch.Tensor) -> torch.dtype:
        """Autocast's, else the adapter's, else the input's where the user has switched off that inputs are cast."""
        device = x.device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            return torch.get_autocast_dtype(device)
        return E.dtype if self.cast_input_dtype_enabled else x.dtype

    def __repr__(self) -> str:
        return "denselora." + super().__repr__()
