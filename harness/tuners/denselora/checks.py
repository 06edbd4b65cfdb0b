"""What DenseLoRA asks of a model before it changes it, and of an adapter file before it loads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch
from peft.tuners.tuners_utils import (
    _filter_state_dict_by_key_prefixes,
    _get_tuner_state_dict_key_prefixes,
    _remove_adapter_name_from_state_dict_key,
)
from torch import nn
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from transformers.pytorch_utils import Conv1D

# So many differences between a file and a model are named; more would hide the first ones.
_SHOWN = 6


def check_placement() -> None:
    """Refuses DeepSpeed's ZeRO-3.

    Raises:
        NotImplementedError: ZeRO-3 is configured.
    """
    if is_deepspeed_zero3_enabled():
        raise NotImplementedError(
            "DenseLoRA can't be trained under DeepSpeed ZeRO-3: it gathers a parameter for the forward pass of the "
            "module that owns it, and DenseLoRA's encoders and decoders are read by every layer of a group. Use "
            "ZeRO-1, ZeRO-2, DDP or FSDP."
        )


def check_can_be_adapted(name: str, module: nn.Module) -> None:
    """Checks that DenseLoRA has a layer for a targeted module.

    Raises:
        TypeError: the module is neither an `nn.Linear` nor a `Conv1D`.
    """
    base = module.get_base_layer() if hasattr(module, "get_base_layer") else module
    if not isinstance(base, (nn.Linear, Conv1D)):
        raise TypeError(
            f"DenseLoRA can't adapt {name!r}, a {type(base).__name__}: it adapts torch.nn.Linear and transformers' "
            "Conv1D. Take it out of `target_modules` or name it in `exclude_modules`."
        )


def linear_modules(model: nn.Module) -> str:
    """Returns the names of the model's linear modules, the last component of each once, for a message."""
    names = {
        name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, (nn.Linear, Conv1D))
    }
    return ", ".join(sorted(names - {"base_layer"})) or "none"


def check_fits(model: nn.Module, adapter_name: str, prefix: str, state_dict: Mapping[str, torch.Tensor]) -> None:
    """Checks that an adapter's file has the tensors that the model has for this adapter, in their sizes.

    `state_dict` has the model's names (with the adapter's name in them). PEFT would leave weights that a file lacks
    at their random start, drop those that the model lacks, and list the other sizes one by one.

    Raises:
        ValueError: a tensor is only in the file or only in the model, or has another size. It names the first ones.
    """
    known = model.state_dict()
    prefixes = _get_tuner_state_dict_key_prefixes(model, adapter_name=adapter_name)
    expected = {
        key: tuple(tensor.shape)
        for key, tensor in _filter_state_dict_by_key_prefixes(known, prefixes).items()
        if adapter_name in key.split(".")[-2:]
    }
    found = {
        key: tuple(t.shape) for key, t in state_dict.items() if key in expected or (prefix in key and key not in known)
    }
    differences: dict[str, list[str]] = defaultdict(list)
    for key in sorted(expected.keys() | found.keys()):
        has, needs = found.get(key), expected.get(key)
        if has != needs:
            differences[f"the file has {_sizes(has)}, the model {_sizes(needs)}"].append(key)
    if differences:
        named = [f"{_listed(keys, adapter_name)}: {difference}" for difference, keys in differences.items()]
        more = f"; and {len(named) - _SHOWN} more differences" if len(named) > _SHOWN else ""
        raise ValueError(
            f"The adapter file does not fit adapter {adapter_name!r} of this model: it was made for another base "
            f"model, other target modules or another rank. {'; '.join(named[:_SHOWN])}{more}."
        )


def _sizes(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else "x".join(map(str, shape))


def _listed(keys: list[str], adapter_name: str) -> str:
    """Returns the first tensor's name, without what all of them have, and how many more there are."""
    name = _remove_adapter_name_from_state_dict_key(keys[0], adapter_name)
    name = name.removeprefix("base_model.").removeprefix("model.")
    return name if len(keys) == 1 else f"{name} and {len(keys) - 1} more"
