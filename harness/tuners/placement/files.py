"""Whether an adapter's file is one for the model."""

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

# So many differences between a file and a model are named; more would hide the first ones.
_SHOWN = 6


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
