"""Injects LoReFT into a model and tells its layers where the prompt is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from peft.tuners.tuners_utils import check_target_module_exists
from torch import nn
from transformers import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from ..placement import PlacedModel
from .config import LoReftConfig
from .layer import NOT_MERGEABLE, LoReftLayer
from .prompts import Prompts

CHILD = "loreft"
"""The name of the tuner's layer in the decoder layer."""


class LoReftModel(PlacedModel):
    """A decoder-only model whose hidden representations are edited (see `LoReftConfig` for equation and paper).

    Trainable parameters: (2 r d + r) for each layer and intervention; a layer has one intervention, or two where the
    ends of the prompt are not tied (released code; the paper's 0.0039 % of LLaMA-2-7B are two a layer).

    The prompt, of which the first and last tokens are edited, is
    - in training: what comes before a row's first label other than -100. Without such tokens there is no boundary, as
      where the loss is taken on the whole sequence, and the forward pass raises ValueError;
    - in `generate`: the input. Generated tokens are never edited, with or without a cache;
    - within `prompt_lengths`: so many tokens of each row. To score a continuation by its likelihood, this is needed;
    - else, without labels: all that a pass without a cache is given. Whoever passes a continuation with its prompt
      edits the last tokens of the continuation. Tokens that follow cached ones are not edited.
    Padding, by the attention mask, on either side does not count. One row is one prompt: no packing.
    """

    title: str = "LoReFT"
    prefix: str = "loreft_"
    tuner_layer_cls = LoReftLayer

    @contextmanager
    def prompt_lengths(self, lengths: Sequence[int] | torch.Tensor) -> Iterator[None]:
        """Within: the first tokens of each row, padding not counted, are its prompt; one number a row, maybe zero.

        Raises:
            ValueError: by a forward pass, where the batch has another number of rows.
        """
        with self._prompts.bounded(torch.as_tensor(lengths)):
            yield

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """The base model's `generate`, whose input is the prompt."""
        given = [kwargs.get("inputs_embeds"), *args[:1], kwargs.get("inputs"), kwargs.get("input_ids")]
        width = next((tokens.shape[1] for tokens in given if tokens is not None), 1)
        with self._prompts.bounded(width):
            return self.model.generate(*args, **kwargs)

    def _pre_injection_hook(self, model: nn.Module, config: LoReftConfig, adapter_name: str) -> None:
        self._prompts = Prompts()
        self._layer_names = decoder_layers(model)
        # On the model, not in `forward`: `generate` and TRL's losses call the model past its tuner.
        self._hooks = [
            model.register_forward_pre_hook(self._prompts.begin, with_kwargs=True),
            model.register_forward_hook(self._prompts.end, always_call=True),
        ]

    def _prepare_adapter_config(self, peft_config: LoReftConfig, model_config: dict[str, Any]) -> LoReftConfig:
        return peft_config

    def _check_target_module_exists(self, peft_config: LoReftConfig, key: str) -> Any:
        if peft_config.target_modules is not None:
            return check_target_module_exists(peft_config, key)
        chosen = {self._layer_names[index] for index in self._chosen(peft_config)}
        if key not in chosen:
            return False
        return check_target_module_exists(replace(peft_config, target_modules=chosen, layers_to_transform=None), key)

    def _chosen(self, peft_config: LoReftConfig) -> Sequence[int]:
        """The indexes of the decoder layers that are edited."""
        layers = peft_config.layers_to_transform
        if layers is None or layers == []:
            return range(len(self._layer_names))
        return [layers] if isinstance(layers, int) else layers

    def _prepare_model(self, peft_config: LoReftConfig, model: nn.Module) -> None:
        """Checks an adapter's place and rank before anything is changed.

        Raises:
            ValueError: the decoder layers or their width are not found, or a layer does not exist; r is above the
                width; the model has an encoder of its own.
        """
        width, layers = _width(model), len(self._layer_names)
        if peft_config.r > width:
            raise ValueError(f"`r` must be at most {width}, the width of the model's layers, got {peft_config.r}.")
        if peft_config.target_modules is not None:
            if not any(self._check_target_module_exists(peft_config, name) for name, _ in model.named_modules()):
                raise ValueError(f"No module of the model is among `target_modules` {peft_config.target_modules!r}.")
        elif not layers:
            raise ValueError(
                f"LoReFT does not find the decoder layers of a {type(model).__name__}: name them in `target_modules`."
            )
        elif beyond := [index for index in self._chosen(peft_config) if not 0 <= index < layers]:
            raise ValueError(f"`layers_to_transform` names the layers {beyond}, the model has 0 to {layers - 1}.")

    def _create_and_replace(
        self,
        peft_config: LoReftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if hasattr(target, CHILD):
            getattr(target, CHILD).update_layer(adapter_name, peft_config)
        else:
            setattr(target, CHILD, LoReftLayer(target, _width(self.model), self._prompts, adapter_name, peft_config))

    def _check_mergeable(self, adapter_names: list[str] | None) -> None:
        """Raises NotImplementedError with the reason."""
        raise NotImplementedError(NOT_MERGEABLE)

    def _unload_and_optionally_merge(
        self,
        merge: bool = True,
        progressbar: bool = False,
        safe_merge: bool = False,
        adapter_names: list[str] | None = None,
    ) -> nn.Module:
        if merge:
            self._check_mergeable(adapter_names)
        for hook in self._hooks:
            hook.remove()
        for module in list(self.model.modules()):
            if isinstance(edit := getattr(module, CHILD, None), LoReftLayer):
                edit.remove()
                delattr(module, CHILD)
        return super()._unload_and_optionally_merge(merge, progressbar, safe_merge, adapter_names)


def decoder_layers(model: nn.Module) -> list[str]:
    """Returns the names of a model's decoder layers in their order; none where they can't be told."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    names = {module: name for name, module in model.named_modules()}
    for module in decoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) and isinstance(module[0], GradientCheckpointingLayer):
            return [names[layer] for layer in module]
    return []


def _width(model: nn.Module) -> int:
    """The width d of the residual stream. Raises ValueError for what is no decoder-only model of transformers."""
    config = getattr(model, "config", None)
    if not isinstance(config, PreTrainedConfig) or config.is_encoder_decoder:
        raise ValueError("LoReFT edits the prompts of decoder-only language models of transformers, and this is none.")
    return config.get_text_config().hidden_size
