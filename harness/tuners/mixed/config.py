"""The configuration of a mixture of adapters and its checks."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import combinations
from typing import Any

from peft import LoraConfig, PeftConfig

from ..denselora import DenseLoraConfig
from ..registration import extend_peft_type

MIXED = extend_peft_type("MIXED")

_TARGETS = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
# What a part may set, by type: what its layers do on their own. The rest belongs to the mixture or needs hooks of the
# part's own tuner, which does not run here.
PART_TYPES: dict[str, tuple[type[PeftConfig], tuple[str, ...]]] = {
    "LORA": (
        LoraConfig,
        (
            *_TARGETS,
            "r",
            "lora_alpha",
            "lora_dropout",
            "init_lora_weights",
            "use_rslora",
            "use_dora",
            "rank_pattern",
            "alpha_pattern",
            "fan_in_fan_out",
        ),
    ),
    "DENSELORA": (
        DenseLoraConfig,
        (
            *_TARGETS,
            "r",
            "alpha",
            "dropout",
            "activation",
            "decoder_activation",
            "train_encoder_decoder",
            "share_encoder_decoder",
            "init_weights",
        ),
    ),
}
# Other ways to start LoRA rewrite the base weights or need data.
_LORA_INITS = (True, False, "gaussian", "orthogonal")
# Fields that every PeftConfig has and that the mixture decides.
_GENERIC = {f.name for f in fields(PeftConfig)}


@dataclass
class MixedConfig(PeftConfig):
    """Configuration of a [`MixedModel`]: several methods in one adapter, each on its own modules.

    A part is a `PeftConfig` or a dictionary of its arguments with `peft_type`; it is copied. Parts are LoRA (also as
    DoRA or rsLoRA) and DenseLoRA, and no module may belong to two of them.

        MixedConfig(parts=[
            LoraConfig(r=32, target_modules=["q_proj", "k_proj", "v_proj"]),
            {"peft_type": "DENSELORA", "r": 32, "target_modules": ["up_proj", "down_proj"]},
        ])

    Raises:
        ValueError: there is no part, a part is of another type, sets what it may not or what its type does not have,
            or two parts name the same module.
    """

    parts: list[PeftConfig | dict[str, Any]] = field(
        default_factory=list,
        metadata={
            "help": "The adapters to mix: PeftConfig objects or dictionaries of their arguments with `peft_type`."
        },
    )
    init_weights: bool = field(
        default=True,
        metadata={"help": "Whether the adapter starts as the identity. False (random everywhere) is for tests."},
    )
    modules_to_save: list[str] | None = field(
        default=None, metadata={"help": "Modules that are not adapted but trained as a whole and saved."}
    )
    trainable_token_indices: list[int] | dict[str, list[int]] | None = field(
        default=None, metadata={"help": "Tokens whose embeddings are trained, or these by name of the embedding."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = MIXED
        if not self.parts:
            raise ValueError("A mixture needs `parts`: a list of LoRA and DenseLoRA configurations.")
        self.parts = [_make_part(index, part, self.peft_version) for index, part in enumerate(self.parts)]
        _check_names_once(self.parts)
        if not self.init_weights:
            for part in self.parts:
                setattr(part, "init_lora_weights" if isinstance(part, LoraConfig) else "init_weights", False)

    @property
    def target_modules(self) -> frozenset[str]:
        """What the parts target, all together. PEFT reads it in its checks and messages."""
        targets: set[str] = set()
        for part in self.parts:
            named = part.target_modules or ()
            targets |= {named} if isinstance(named, str) else set(named)
        return frozenset(targets)

    def to_dict(self) -> dict[str, Any]:
        """Returns what `MixedConfig(**...)` accepts, with nothing in it that JSON lacks."""
        own = {f.name: copy.deepcopy(getattr(self, f.name)) for f in fields(self) if f.name != "parts"}
        return {**own, "parts": [_part_to_dict(part) for part in self.parts]}


def _make_part(index: int, part: PeftConfig | Mapping[str, Any], peft_version: str | None) -> PeftConfig:
    where = f"parts[{index}]"
    if isinstance(part, Mapping):
        # A part that comes from a file is of the version that wrote the file, as the mixture is.
        arguments = {"peft_version": peft_version, **part}
        if "peft_type" not in arguments:
            raise ValueError(f"{where}: `peft_type` is missing, it must be one of {', '.join(PART_TYPES)}.")
        config_cls, _ = _part_type(where, arguments.pop("peft_type"))
        try:
            part = config_cls(**arguments)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from error
    elif not isinstance(part, PeftConfig):
        raise ValueError(f"{where}: must be a PeftConfig or a dictionary, got {type(part).__name__}.")
    _check_part(where, part)
    return copy.deepcopy(part)


def _part_type(where: str, peft_type: Any) -> tuple[type[PeftConfig], tuple[str, ...]]:
    name = getattr(peft_type, "value", peft_type)
    if name not in PART_TYPES:
        raise ValueError(f"{where}: {name} can't be part of a mixture, only {' and '.join(PART_TYPES)} can.")
    return PART_TYPES[name]


def _check_part(where: str, part: PeftConfig) -> None:
    config_cls, allowed = _part_type(where, part.peft_type)
    default = config_cls(peft_version=part.peft_version)
    changed = [
        f.name
        for f in fields(part)
        if f.name not in allowed and f.name not in _GENERIC and getattr(part, f.name) != getattr(default, f.name)
    ]
    if changed:
        raise ValueError(
            f"{where}: {', '.join(changed)} can't be set in a part of a mixture; a {part.peft_type.value} part may "
            f"set {', '.join(allowed)}. `modules_to_save` and `trainable_token_indices` belong to the mixture."
        )
    if isinstance(part, LoraConfig) and part.init_lora_weights not in _LORA_INITS:
        raise ValueError(
            f"{where}: init_lora_weights={part.init_lora_weights!r} can't be used in a mixture, because it rewrites "
            f"the base weights or needs data. Choose one of {', '.join(map(repr, _LORA_INITS))}."
        )


def _check_names_once(parts: list[PeftConfig]) -> None:
    """Finds the overlaps that need no model to be seen; `MixedModel` looks at the modules themselves."""
    for (i, first), (j, second) in combinations(enumerate(parts), 2):
        narrowed = any(p.layers_to_transform is not None or p.exclude_modules for p in (first, second))
        if narrowed or not (isinstance(first.target_modules, set) and isinstance(second.target_modules, set)):
            continue
        both = sorted(first.target_modules & second.target_modules)
        if both:
            raise ValueError(
                f"parts[{i}] and parts[{j}] both target {', '.join(both)}. Each module can have one adapter of a "
                "mixture: take it out of one of them."
            )


def _part_to_dict(part: PeftConfig) -> dict[str, Any]:
    _, allowed = PART_TYPES[part.peft_type.value]
    values = {name: copy.deepcopy(getattr(part, name)) for name in allowed}
    values = {name: sorted(value) if isinstance(value, set) else value for name, value in values.items()}
    return {"peft_type": part.peft_type.value, **values}
