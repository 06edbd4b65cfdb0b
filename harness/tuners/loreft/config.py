"""The configuration of LoReFT and its checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from ..placement import PlacementConfig
from .positions import Positions


@dataclass
class LoReftConfig(PlacementConfig):
    """Configuration of a [`LoReftModel`]: `h' = h + R^T (W h + b - R h)` at chosen layers and tokens.

    h: (d,), what a decoder layer gives out for one token (the residual stream); R and W: (r, d), b: (r,); R's rows are
    orthonormal. Wu et al., NeurIPS 2024 ("ReFT: Representation Finetuning for Language Models", arXiv 2404.03592),
    section 3.2. The edited tokens are the first and the last of the prompt: see `LoReftModel` for where it ends.

    Raises:
        ValueError: a value is out of its range, or two of them do not go together.
    """

    method: ClassVar[str] = "loreft"

    r: int = field(default=8, metadata={"help": "The rank: the dimensions of the subspace that is edited."})
    positions: str = field(
        default="f7+l7",
        metadata={
            "help": (
                "The tokens to edit: 'f7+l7' for the first and the last seven of the prompt, 'f7' or 'l7' for one "
                "end only, or 'all' for every token, also behind the prompt."
            )
        },
    )
    tied: bool = field(
        default=True,
        metadata={"help": "Whether the first and the last tokens are edited by the same R, W and b."},
    )
    dropout: float = field(default=0.0, metadata={"help": "Dropout of the edited representations h'."})
    target_modules: list[str] | str | None = field(
        default=None,
        metadata={
            "help": (
                "Names of the decoder layers, or a regular expression, for a model in which they are not found. If "
                "not given, all decoder layers or those in `layers_to_transform`."
            )
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_at_least("r", 1)
        self._check_dropout("dropout")
        places = Positions.parse(self.positions)
        if not self.tied and not (places.first and places.last):
            raise ValueError(
                f"`tied=False` needs `positions` with both ends, such as 'f7+l7', got {self.positions!r}."
            )
        self._check_targets()

    @property
    def interventions(self) -> int:
        """How many sets of R, W and b a layer has."""
        return 1 if self.tied else 2

    def _check_targets(self) -> None:
        if self.target_modules == "all-linear":
            raise ValueError("LoReFT edits what decoder layers give out: `target_modules` can't be 'all-linear'.")
        if self.target_modules is not None and self.layers_to_transform is not None:
            raise ValueError("`layers_to_transform` chooses among all decoder layers: give no `target_modules` then.")
        if self.layers_pattern is not None:
            raise ValueError("LoReFT finds the decoder layers itself: `layers_pattern` must not be given.")
        if self.bias == "loreft_only":
            raise ValueError("A decoder layer has no bias of its own: `bias` must be 'none' or 'all'.")
