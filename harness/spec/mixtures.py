"""What can't be a mixture of adapters, as far as it is seen without importing their classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.adapters.method import Method
from harness.catalog.architectures import LETTERS, is_letters
from harness.spec.run import AdapterRef

MIXABLE = "lora, dora and denselora"
DENSELORA = "harness.tuners:DenseLoraConfig"
LORA = "peft:LoraConfig"
FOREIGN = {"use_bdlora", "eva_config", "kasa_config", "velora_config", "loftq_config", "corda_config", "use_qalora"}
"""Arguments of LoRA that need more than its layer."""
STARTS = (True, False, "gaussian", "orthogonal")
"""The starts of LoRA's weights that leave the base as it is."""
ALREADY = "can have one adapter, and is already a target of"
NARROWING = ("exclude_modules", "layers_to_transform", "layers_pattern")


def can_be_mixed(method: Method) -> bool:
    """Whether a method can be a part: what its class is, and that it changes no more than the modules it adapts."""
    if method.trains != "adapter" or method.callbacks or method.trainer or method.optimizer:
        return False
    if not str(method.config_class).startswith(("peft:", "harness.tuners:")):
        return True  # a class of the user's own may be one of LoRA's kind; `plan` builds it
    return method.config_class == DENSELORA or (method.config_class == LORA and _is_plain(method.config))


def _is_plain(config: dict[str, Any]) -> bool:
    start = config.get("init_lora_weights", True)
    return not FOREIGN & config.keys() and (start in STARTS or str(start).startswith("${"))


def shared_targets(parts: Sequence[AdapterRef]) -> dict[int, str]:
    """What is wrong with the parts that adapt a module of an earlier one: messages by their numbers."""
    found: dict[int, str] = {}
    for later, part in enumerate(parts):
        for earlier, other in enumerate(parts[:later]):
            if later not in found and (both := _shared(part, other)):
                found[later] = f"{both} {ALREADY} mixed[{earlier}]{_free(parts)}"
    return found


def _free(parts: Sequence[AdapterRef]) -> str:
    """The letters that no part has, where all are written in letters."""
    targets = [part.params.get("targets") for part in parts]
    free = [letter for letter in LETTERS if not any(letter in str(letters) for letters in targets)]
    return f", which leaves {', '.join(free)}" if free and all(map(is_letters, targets)) else ""


def _shared(part: AdapterRef, other: AdapterRef) -> str:
    """The letters, else the names of modules, that two parts have in common."""
    ours, theirs = part.params.get("targets"), other.params.get("targets")
    narrowed = any(adapter.config.get(name) is not None for adapter in (part, other) for name in NARROWING)
    if narrowed:
        return ""
    if is_letters(ours) and is_letters(theirs):
        return ", ".join(letter for letter in LETTERS if letter in ours and letter in theirs)
    mine, others = part.config.get("target_modules"), other.config.get("target_modules")
    return ", ".join(sorted(set(mine) & set(others))) if isinstance(mine, list) and isinstance(others, list) else ""
