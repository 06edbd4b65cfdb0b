"""What an adapter adds to one layer of a decoder: products with its own weights, and what it keeps for backward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.pipeline.estimate.decoder import Decoder
from harness.spec.run import AdapterRef

RANKS = {"peft:LoraConfig": "r", "peft:AdaLoraConfig": "init_r", "peft:VeraConfig": "r"}
"""Methods that multiply by an (r, in) and an (out, r) matrix on each module, and what they call r."""
DENSELORA = "harness.tuners:DenseLoraConfig"
DROPOUTS = ("dropout", "lora_dropout", "vera_dropout")
SHARED = {"Q": "attention", "K": "attention", "V": "attention", "O": "output", "G": "mlp", "U": "mlp", "D": "down"}
"""The projections of a layer by the activation that they read."""
FLOAT = 4
POSITION = 8
"""Bytes of a number that an adapter computes with, and of a dropped element's position (DenseLoRA)."""


@dataclass(frozen=True)
class Adapted:
    """An adapter, or a part of a mixture, on the modules of a decoder's layers.

    modules: letters of the projections it is on; layers: how many; rank: None where it has no matrices of a known
    form.
    """

    decoder: Decoder
    modules: tuple[str, ...]
    layers: int
    rank: int | None
    dense: bool
    decomposed: bool
    dropout: float

    @property
    def products(self) -> int | None:
        """The weights of its own that a token is multiplied with, in all layers; None where that isn't known."""
        if self.rank is None:
            return None
        each = (sum(self.decoder.module(letter)) * self.rank for letter in self.modules)
        return self.layers * (sum(each) + (len(self.modules) * self.rank**2 if self.dense else 0))

    @property
    def decompositions(self) -> int:
        """Multiply-adds of DoRA's weight norms (B A, then the norm of each row), of one forward pass in all layers."""
        if not self.decomposed or self.rank is None:
            return 0
        shapes = map(self.decoder.module, self.modules)
        return self.layers * sum(width * out * (self.rank + 1) for width, out in shapes)

    def kept(self, width: int, mask: int) -> float:
        """Bytes that a token leaves in one layer for the backward pass, beside what the base keeps.

        width: bytes of a number of the base; mask: of an element of a dropout mask.
        """
        inputs = sum(self.decoder.module(letter)[0] for letter in self.modules)
        alike = {SHARED[letter]: self.decoder.module(letter)[0] for letter in self.modules}
        codes = (self.rank or 0) * len(self.modules) * FLOAT
        if self.dense:
            return sum(alike.values()) * width + 2 * codes + self.dropout * inputs * POSITION
        if self.dropout:
            own = inputs * (FLOAT + mask)
        else:
            own = sum(alike.values()) * FLOAT if width == FLOAT else inputs * FLOAT
        outputs = sum(self.decoder.module(letter)[1] for letter in self.modules)
        return own + codes + (2 * outputs * FLOAT if self.decomposed else 0)


def adapted(adapter: AdapterRef, decoder: Decoder) -> Iterator[Adapted]:
    """The adapter's parts, or itself; nothing where it is on no modules that are known."""
    for part in adapter.parts:
        yield from adapted(part, decoder)
    modules = _modules(adapter.config.get("target_modules"), decoder)
    if adapter.parts or not modules:
        return
    dense = adapter.config_class == DENSELORA
    rank = adapter.config.get("r" if dense else RANKS.get(adapter.config_class or "", ""))
    chosen = adapter.config.get("layers_to_transform")
    yield Adapted(
        decoder,
        modules,
        layers=len(chosen) if isinstance(chosen, list) else decoder.layers,
        rank=rank if isinstance(rank, int) else None,
        dense=dense,
        decomposed=bool(adapter.config.get("use_dora")),
        dropout=next((float(found) for name in DROPOUTS if (found := adapter.config.get(name))), 0.0),
    )


def _modules(targets: Any, decoder: Decoder) -> tuple[str, ...]:
    """The letters of the modules that `target_modules` names."""
    if targets == "all-linear":
        return tuple(decoder.letters)
    named = [targets] if isinstance(targets, str) else targets or ()
    ends = [tuple(name.split(".")) for name in named if isinstance(name, str)]
    return tuple(letter for letter, name in decoder.letters.items() if any(_same(end, name) for end in ends))


def _same(end: tuple[str, ...], name: str) -> bool:
    own = tuple(name.split("."))
    length = min(len(end), len(own))
    return end[-length:] == own[-length:]
