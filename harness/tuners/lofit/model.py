"""Injects LoFiT into a model, selects the heads, and loads an adapter of either phase."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from peft.tuners.tuners_utils import _get_in_out_features
from torch import nn
from transformers import PreTrainedConfig

from ..placement import PlacedModel, uninjected_modules
from .config import LofitConfig
from .layer import Linear, LofitLayer

OUTPUT_PROJECTIONS = {
    "bloom": "self_attention.dense",
    "cohere": "o_proj",
    "falcon": "self_attention.dense",
    "gemma": "o_proj",
    "gemma2": "o_proj",
    "gemma3_text": "o_proj",
    "gpt2": "attn.c_proj",
    "gpt_neox": "attention.dense",
    "gptj": "out_proj",
    "granite": "o_proj",
    "llama": "o_proj",
    "mistral": "o_proj",
    "mixtral": "o_proj",
    "olmo": "o_proj",
    "olmo2": "o_proj",
    "opt": "out_proj",
    "phi": "self_attn.dense",
    "phi3": "o_proj",
    "qwen2": "o_proj",
    "qwen3": "o_proj",
    "smollm3": "o_proj",
    "stablelm": "o_proj",
}
"""The attention's output projection, whose input is what the heads give out, in each architecture (`model_type`)."""


class LofitModel(PlacedModel):
    """A model whose attention heads are edited (see `LofitConfig` for the equations and the paper).

    Trainable parameters: layers · heads · head_dim scales at first, K · head_dim offsets after the selection. The
    number of heads is the model's configuration's (`num_attention_heads`: the query heads).
    """

    title: str = "LoFiT"
    prefix: str = "lofit_"
    tuner_layer_cls = LofitLayer
    target_module_mapping: dict[str, list[str]] = {key: [name] for key, name in OUTPUT_PROJECTIONS.items()}

    def select_heads(self, adapter_name: str, generator: torch.Generator | None = None) -> dict[str, list[int]]:
        """Selects an adapter's K heads with the largest |A|_2; new offsets take the place of all scales.

        Of heads that are equal, the one of the earlier layer, then the one with the lower index goes first. The
        offsets start from a normal distribution, drawn on the CPU.

        Returns the selected heads by the name of their layer.

        Raises:
            ValueError: the adapter has no scales.
        """
        config = self.peft_config[adapter_name]
        layers = [(name, layer) for name, layer in lofit_layers(self.model) if adapter_name in layer.lofit_scale]
        if not layers:
            raise ValueError(f"The adapter {adapter_name!r} has no scales to select heads by: they are selected.")
        norms = torch.cat([layer.lofit_scale[adapter_name].detach().float().norm(dim=1).cpu() for _, layer in layers])
        ranked = norms.sort(descending=True, stable=True).indices
        selected = torch.zeros(len(norms), dtype=torch.bool)
        selected[ranked[: config.selected_of(len(norms))]] = True
        chosen = {}
        for (name, layer), mask in zip(layers, selected.split([layer.num_heads for _, layer in layers]), strict=True):
            heads = mask.nonzero().flatten()
            offset = config.init_std * torch.randn(len(heads), layer.head_dim, generator=generator)
            layer.put_offset(adapter_name, heads, offset)
            chosen[name] = heads.tolist()
        return {name: heads for name, heads in chosen.items() if heads}

    def _prepare_model(self, peft_config: LofitConfig, model: nn.Module) -> None:
        """Checks the targets, and that the model has the heads that are to be selected.

        Raises:
            ValueError: the model's configuration doesn't say how many heads it has, or they are fewer than K.
            TypeError: a targeted module is not the output projection of an attention.
        """
        num_heads, _ = head_shape(model)
        super()._prepare_model(peft_config, model)
        names = [name for name, _ in uninjected_modules(model)]
        targets = [name for name in names if self._check_target_module_exists(peft_config, name)]
        total = len(targets) * num_heads
        if targets and peft_config.heads > total:
            raise ValueError(
                f"`heads` must be at most {total}, the heads of the {len(targets)} targeted layers, got "
                f"{peft_config.heads!r}."
            )

    def _check_target(self, name: str, base: nn.Module, peft_config: LofitConfig) -> None:
        super()._check_target(name, base, peft_config)
        num_heads, head_dim = head_shape(self.model)
        known = OUTPUT_PROJECTIONS.get(self.model.config.model_type)
        if known and not f".{name}".endswith(f".{known}"):
            raise TypeError(
                f"LoFiT can't adapt {name!r}: it edits what attention heads give out, which in this architecture is "
                f"the input of {known}. Leave `target_modules` out, or name that."
            )
        inputs, _ = _get_in_out_features(base)
        if inputs != num_heads * head_dim:
            raise TypeError(
                f"LoFiT can't adapt {name!r}, which has {inputs} inputs: an attention's output projection has "
                f"{num_heads} heads x {head_dim} = {num_heads * head_dim}."
            )

    def _new_layer(self, target: nn.Module, adapter_name: str, peft_config: LofitConfig) -> Linear:
        return Linear(target, adapter_name, peft_config, head_shape(self.model)[0])

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls, model: nn.Module, config: LofitConfig, adapter_name: str, state_dict: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Brings the adapter into the phase that the file was saved in, before it is loaded."""
        for name, layer in lofit_layers(model):
            if layer.weight_of(adapter_name) is None:
                continue
            heads = _find(state_dict, f"{name}.lofit_heads")
            if heads is not None:
                layer.put_offset(adapter_name, heads, torch.zeros(len(heads), layer.head_dim))
            elif _find(state_dict, f"{name}.lofit_scale") is not None:
                layer.put_scale(adapter_name)
        return super()._remap_adapter_state_dict_for_load(model, config, adapter_name, state_dict)


def lofit_layers(model: nn.Module) -> Iterator[tuple[str, LofitLayer]]:
    """Yields the model's LoFiT layers with their names."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, LofitLayer))


def head_shape(model: nn.Module) -> tuple[int, int]:
    """Returns how many heads an attention of the model has, and how wide what one of them gives out is.

    Raises:
        ValueError: the model's configuration doesn't say it.
    """
    config = getattr(model, "config", None)
    config = config.get_text_config() if isinstance(config, PreTrainedConfig) else None
    heads = getattr(config, "num_attention_heads", None)
    if not isinstance(heads, int):
        raise ValueError("LoFiT needs a model whose configuration says `num_attention_heads`, one number.")
    width = getattr(config, "v_head_dim", None) or getattr(config, "head_dim", None)
    return heads, width or config.hidden_size // heads


def _find(state_dict: dict[str, torch.Tensor], key: str) -> torch.Tensor | None:
    # A model into which the layers were injected directly has no `base_model.model.`, the file always has it.
    return state_dict.get(key, state_dict.get(f"base_model.model.{key}"))
