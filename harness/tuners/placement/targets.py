"""The modules of a model that can be adapted."""

from __future__ import annotations

from collections.abc import Iterator

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers.pytorch_utils import Conv1D


def check_is_linear(title: str, name: str, module: nn.Module) -> None:
    """Checks that the tuner called `title` has a layer for a targeted module.

    Raises:
        TypeError: the module is neither an `nn.Linear` nor a `Conv1D`.
    """
    base = module.get_base_layer() if hasattr(module, "get_base_layer") else module
    if not isinstance(base, (nn.Linear, Conv1D)):
        raise TypeError(
            f"{title} can't adapt {name!r}, a {type(base).__name__}: it adapts torch.nn.Linear and transformers' "
            "Conv1D. Take it out of `target_modules` or name it in `exclude_modules`."
        )


def linear_modules(model: nn.Module) -> str:
    """Returns the names of the model's linear modules, the last component of each once, for a message."""
    names = {
        name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, (nn.Linear, Conv1D))
    }
    return ", ".join(sorted(names - {"base_layer"})) or "none"


def uninjected_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yields the modules that an injection may target, with their names: all but the insides of adapted layers."""
    inside = None
    for key, module in model.named_modules():
        if not key or (inside and key.startswith(inside)):
            continue
        yield key, module
        if isinstance(module, BaseTunerLayer):
            inside = f"{key}."
