"""The configuration of bottleneck adapters and its checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn
from transformers.activations import ACT2FN

from ..placement import PlacementConfig

VARIANTS = ("series", "parallel")


@dataclass
class BottleneckConfig(PlacementConfig):
    """Configuration of a [`BottleneckModel`]: a down-projection, a non-linearity and an up-projection.

    - `variant="series"`: `y = h + scaling * (f(h D + b) U + c)` with the layer's output h: (batch, seq, out),
      D: (out, r), U: (r, out). Houlsby et al. 2019 (ICML, arXiv 1902.00751), section 2.1.
    - `variant="parallel"`: `y = h + scaling * (f(x D + b) U + c)` with the layer's input x: (batch, seq, in),
      D: (in, r), U: (r, out). He et al. 2022 (ICLR, arXiv 2110.04366), table 1.

    Both beside linear layers and without the biases b: (r,) and c: (out,), as in LLM-Adapters (Hu et al., EMNLP 2023,
    arXiv 2304.01933); `projection_bias=True` adds the biases of Houlsby et al. The adapter starts as the identity: D
    Kaiming-uniform, U and the biases zero (He et al.).

    Raises:
        ValueError: a value is out of its range, or the non-linearity is unknown, linear, or has parameters.
    """

    method: ClassVar[str] = "bottleneck"

    r: int = field(default=256, metadata={"help": "The bottleneck's size."})
    variant: str = field(
        default="series",
        metadata={"help": "'series': the adapter reads the layer's output; 'parallel': it reads the layer's input."},
    )
    non_linearity: str = field(
        default="tanh", metadata={"help": "What stands between the projections: a name in transformers' ACT2FN."}
    )
    scaling: float = field(default=1.0, metadata={"help": "The adapter's output is multiplied by it."})
    dropout: float = field(default=0.0, metadata={"help": "Dropout of the adapter's input."})
    projection_bias: bool = field(default=False, metadata={"help": "Whether both projections have a bias."})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_at_least("r", 1)
        if self.variant not in VARIANTS:
            raise ValueError(f"`variant` must be one of {', '.join(VARIANTS)}, got {self.variant!r}.")
        self._check_positive("scaling")
        self._check_dropout("dropout")
        check_non_linearity(self.non_linearity)


def check_non_linearity(name: str) -> None:
    """Checks that `name` is a function that a bottleneck can have.

    Raises:
        ValueError: it is unknown, it is linear, or it has parameters of its own.
    """
    if name not in ACT2FN:
        raise ValueError(f"Unknown non-linearity {name!r}, choose one of {', '.join(sorted(ACT2FN))}.")
    function = ACT2FN[name]
    if isinstance(function, nn.Identity) or name == "linear":
        raise ValueError(
            f"The non-linearity {name!r} is linear: an adapter without a non-linearity is a product of two matrices, "
            "that is LoRA. Choose another, such as 'tanh'."
        )
    if list(function.parameters()):
        raise ValueError(
            f"The non-linearity {name!r} has trainable parameters of its own, which the adapter does not train; "
            "choose one without, such as 'tanh'."
        )
