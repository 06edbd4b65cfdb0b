"""The fields that the configurations of low-rank tuners share, and their checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from peft import PeftConfig

from ..registration import extend_peft_type


@dataclass
class LowRankConfig(PeftConfig):
    """Configuration of a tuner whose adapter adds `(alpha / r) * P drop(x)`, P a product of narrow matrices.

    Raises:
        ValueError: a value is out of its range.
    """

    method: ClassVar[str]
    """The tuner's name in lower case: the PEFT type in capitals, and the parameters' prefix."""

    r: int = field(default=16, metadata={"help": "The rank of the trained matrices."})
    alpha: float = field(default=32, metadata={"help": "The adapter's output is multiplied by alpha / r."})
    dropout: float = field(default=0.05, metadata={"help": "Dropout of the adapter's input."})
    init_weights: bool = field(
        default=True,
        metadata={"help": "Whether the adapter starts as the identity. False (random everywhere) is for tests."},
    )
    target_modules: list[str] | str | None = field(
        default=None,
        metadata={
            "help": (
                "Names of the modules to adapt, a regular expression, or 'all-linear'. "
                "If not given, PEFT's default of LoRA for the model's architecture."
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
        self._check_at_least("r", 1)
        if not self.alpha > 0:
            raise ValueError(f"`alpha` must be positive, got {self.alpha!r}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be at least 0 and below 1, got {self.dropout!r}.")
        biases = ("none", "all", f"{self.method}_only")
        if self.bias not in biases:
            raise ValueError(f"`bias` must be one of {', '.join(biases)}, got {self.bias!r}.")
        if isinstance(self.target_modules, str) and self.layers_to_transform is not None:
            raise ValueError("`layers_to_transform` needs `target_modules` to be a list of names, not a string.")
        if self.layers_pattern and self.layers_to_transform is None:
            raise ValueError("When `layers_pattern` is specified, `layers_to_transform` must also be specified.")

    def _check_at_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or value < least:
            raise ValueError(f"`{name}` must be an integer of at least {least}, got {value!r}.")
