"""The part of a configuration that says which linear layers are adapted and what else is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from peft import PeftConfig

from ..registration import extend_peft_type


@dataclass
class PlacementConfig(PeftConfig):
    """Which linear layers are adapted and what else is trained.

    Raises:
        ValueError: `bias` is unknown, or `layers_to_transform` and `layers_pattern` do not go together.
    """

    method: ClassVar[str]
    """The tuner's name in lower case: the PEFT type in capitals, and what `bias="<method>_only"` begins with."""

    init_weights: bool = field(
        default=True,
        metadata={"help": "Whether the adapter starts as its paper has it. False (random everywhere) is for tests."},
    )
    target_modules: list[str] | str | None = field(
        default=None,
        metadata={
            "help": (
                "Names of the modules to adapt, a regular expression, or 'all-linear'. If not given, those that PEFT "
                "has for the model's architecture: LoRA's for tuners that change weights, IA3's feed-forward ones for "
                "those that change outputs."
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
        self.peft_type = extend_peft_type(self.method.upper())
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list):
            self.exclude_modules = set(self.exclude_modules)
        if isinstance(self.target_modules, str) and self.layers_to_transform is not None:
            raise ValueError("`layers_to_transform` needs `target_modules` to be a list of names, not a string.")
        if self.layers_pattern and self.layers_to_transform is None:
            raise ValueError("When `layers_pattern` is specified, `layers_to_transform` must also be specified.")
        biases = ("none", "all", f"{self.method}_only")
        if self.bias not in biases:
            raise ValueError(f"`bias` must be one of {', '.join(biases)}, got {self.bias!r}.")

    def _check_at_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or value < least:
            raise ValueError(f"`{name}` must be an integer of at least {least}, got {value!r}.")

    def _check_positive(self, name: str) -> None:
        value = getattr(self, name)
        if not value > 0:
            raise ValueError(f"`{name}` must be positive, got {value!r}.")

    def _check_dropout(self, name: str) -> None:
        value = getattr(self, name)
        if not 0 <= value < 1:
            raise ValueError(f"`{name}` must be at least 0 and below 1, got {value!r}.")
