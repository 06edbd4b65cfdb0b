"""Whether a model has the modules and the layers that an adapter names; PEFT leaves out those it doesn't find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from transformers import PreTrainedModel

from harness.errors import RunError, nearest
from harness.spec.run import AdapterRef


def check_targets(base: PreTrainedModel, ref: AdapterRef) -> None:
    """Raises RunError("config") with each listed name that no module of `base` has and each layer beyond its last."""
    faults = [fault for part in ref.parts or (ref,) for fault in _faults(base, part)]
    if faults:
        raise RunError("config", "; ".join(dict.fromkeys(faults)))


def _faults(base: PreTrainedModel, ref: AdapterRef) -> Iterator[str]:
    if ref.config.get("layer_replication"):
        return  # LoRA makes further layers, which the base has not yet
    modules = [name for name, _ in base.named_modules() if name]
    weighed = (name for name, module in base.named_modules() if any(True for _ in module.parameters(recurse=False)))
    names = sorted({name.rpartition(".")[2] for name in weighed})
    for field, matches in (("target_modules", _ends), ("exclude_modules", _ends), ("modules_to_save", _holds)):
        for name in _listed(ref.config.get(field)):
            if not any(matches(module, name) for module in modules):
                yield f"{ref.method}: {field}: the model has no module {name!r}, {nearest(name, names)}"
    layers = getattr(base.config.get_text_config(), "num_hidden_layers", None)
    asked = ref.config.get("layers_to_transform")
    for index in [asked] if isinstance(asked, int) else asked or ():
        if isinstance(index, int) and layers is not None and index >= layers:
            yield f"{ref.method}: layers_to_transform: no layer {index}, the model has {layers}: 0 to {layers - 1}"


def _listed(value: Any) -> list[str]:
    """The names of a list; a text is a pattern or a word of PEFT's, such as `all-linear`, which PEFT looks into."""
    return [str(name) for name in value] if isinstance(value, (list, tuple)) else []


def _ends(module: str, name: str) -> bool:
    """PEFT's rule for targets: the whole path, or the end of it."""
    return module == name or module.endswith(f".{name}")


def _holds(module: str, name: str) -> bool:
    """PEFT's rule for modules that are trained as they are: a part of the path."""
    return re.search(rf"(^|\.){re.escape(name)}($|\.)", module) is not None
