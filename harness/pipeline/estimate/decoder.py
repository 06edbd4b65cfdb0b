"""The shapes of a decoder, read off its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.catalog.architectures import letters_of

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
"""Where a configuration has one of these, a token meets some of the weights only."""


@dataclass(frozen=True)
class Decoder:
    """A dense decoder. attention, keys: heads × the width of one, for queries and for keys (or values)."""

    layers: int
    hidden: int
    attention: int
    keys: int
    inner: int
    vocabulary: int
    letters: Mapping[str, str]
    context: int | None

    def module(self, letter: str) -> tuple[int, int]:
        """The width that goes into and comes out of a projection: Q, K, V, O of attention, G, U, D of the MLP."""
        return {
            "Q": (self.hidden, self.attention),
            "K": (self.hidden, self.keys),
            "V": (self.hidden, self.keys),
            "O": (self.attention, self.hidden),
            "G": (self.hidden, self.inner),
            "U": (self.hidden, self.inner),
            "D": (self.inner, self.hidden),
        }[letter]

    @property
    def layer_weights(self) -> int:
        """The weights of one layer that a token is multiplied with."""
        return sum(width * out for width, out in map(self.module, self.letters))

    @property
    def head_weights(self) -> int:
        """Those of the output embedding, tied or not."""
        return self.hidden * self.vocabulary


def decoder_of(config: Mapping[str, Any] | None) -> Decoder | None:
    """The decoder that transformers' configuration describes.

    None for an architecture whose projections the catalog doesn't know, and for a mixture of experts.
    """
    letters = letters_of(str((config or {}).get("model_type", "")))
    if config is None or letters is None or any(config.get(name) for name in EXPERTS):
        return None
    hidden, layers = _first(config, "hidden_size", "n_embd", "d_model"), _first(config, "num_hidden_layers", "n_layer")
    heads, vocabulary = _first(config, "num_attention_heads", "n_head"), _first(config, "vocab_size")
    if hidden is None or layers is None or heads is None or vocabulary is None:
        return None
    width = _first(config, "head_dim") or hidden // heads
    keys = _first(config, "num_key_value_heads") or heads
    inner = _first(config, "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size") or 4 * hidden
    context = _first(config, "max_position_embeddings", "n_positions")
    return Decoder(layers, hidden, heads * width, keys * width, inner, vocabulary, letters, context)


def _first(config: Mapping[str, Any], *names: str) -> int | None:
    return next((config[name] for name in names if isinstance(config.get(name), int) and config[name] > 0), None)
