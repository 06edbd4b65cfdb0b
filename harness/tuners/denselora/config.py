"""The configuration of DenseLoRA and its checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import torch
from torch import nn
from transformers.activations import ACT2FN

from ..placement import PlacementConfig

LINEAR_ACTIVATIONS = ("identity", "linear")


def make_activation(name: str) -> nn.Module:
    """Returns the activation called `name`: "identity" or one of transformers' `ACT2FN`."""
    return nn.Identity() if name in LINEAR_ACTIVATIONS else ACT2FN[name]


@lru_cache
def value_and_slope_at_zero(name: str) -> tuple[float, float]:
    """Returns f(0) and f'(0) of an activation, as autograd has them: they are what the first backward pass sees."""
    # The device is named because configurations are also made inside `with torch.device("meta")`.
    with torch.inference_mode(False), torch.enable_grad():
        zero = torch.zeros((), dtype=torch.float32, device="cpu", requires_grad=True)
        value = make_activation(name)(zero)
        (slope,) = torch.autograd.grad(value, zero)
    return value.item(), slope.item()


@dataclass
class DenseLoraConfig(PlacementConfig):
    """Configuration of a [`DenseLoraModel`]: `y = W0 x + (alpha / r) * drop(act(D M drop(act(E drop(x)))))`.

    x: (batch, seq, in) -> y: (batch, seq, out).

    The encoder E (r, in) and the decoder D (out, r) are shared by all adapted layers of a group, that is by the
    layers whose name ends in the same component and whose shapes are equal; M (r, r) belongs to one layer.

    - `activation="identity"` is the paper's "Only Matrix": linear, so that it can be merged.
    - `train_encoder_decoder=False` is the paper's "Freeze": E and D keep their random values and only M is trained.
    - `share_encoder_decoder=False` gives each layer an E and a D of its own, which the paper does not try: what
      sharing them costs.

    Raises:
        ValueError: a value is out of its range, an activation is unknown, or the decoder's activation f can't learn
            from the decoder's zero start (f(0) != 0 or f'(0) == 0).
    """

    method: ClassVar[str] = "denselora"

    r: int = field(default=16, metadata={"help": "The rank: the side of M and the size of the code between E and D."})
    alpha: float = field(default=32, metadata={"help": "The adapter's output is multiplied by alpha / r."})
    dropout: float = field(
        default=0.05,
        metadata={
            "help": "Dropout of the encoder's input, the code and the decoder's output, each with its own mask."
        },
    )
    activation: str = field(
        default="gelu",
        metadata={"help": "The activation after the encoder: 'identity' or a name in transformers' ACT2FN."},
    )
    decoder_activation: str | None = field(
        default=None, metadata={"help": "The activation after the decoder. If not given, `activation`."}
    )
    train_encoder_decoder: bool = field(
        default=True,
        metadata={"help": "Whether E and D are trained. If not, D starts random, M at zero, and only M is trained."},
    )
    share_encoder_decoder: bool = field(
        default=True, metadata={"help": "Whether the layers of a group have one E and one D, or each layer its own."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_at_least("r", 1)
        self._check_positive("alpha")
        self._check_dropout("dropout")
        self._check_activations()

    @property
    def decoder_activation_name(self) -> str:
        """The activation after the decoder, where the default is resolved."""
        return self.activation if self.decoder_activation is None else self.decoder_activation

    @property
    def is_linear(self) -> bool:
        """Whether the adapter is linear in its input, so that it can be merged into the base weights."""
        return self.activation in LINEAR_ACTIVATIONS and self.decoder_activation_name in LINEAR_ACTIVATIONS

    def _check_activations(self) -> None:
        for name in (self.activation, self.decoder_activation_name):
            if name != "identity" and name not in ACT2FN:
                raise ValueError(f"Unknown activation {name!r}, choose one of identity, {', '.join(sorted(ACT2FN))}.")
            if list(make_activation(name).parameters()):
                raise ValueError(
                    f"The activation {name!r} has trainable parameters of its own, which DenseLoRA does not train; "
                    "choose one without, such as 'gelu'."
                )
        name = self.decoder_activation_name
        value, slope = value_and_slope_at_zero(name)
        if value == 0 and slope != 0:
            return
        reason = f"f(0) = {value:g}, so the model would not start as the base model"
        if value == 0:
            reason = f"f'(0) = {slope:g}, so no gradient would ever pass the decoder, which starts at zero"
        raise ValueError(
            f"DenseLoRA can't learn with {name!r} after the decoder: {reason}. "
            "Choose an activation with f(0) = 0 and f'(0) != 0, such as decoder_activation='gelu'."
        )
