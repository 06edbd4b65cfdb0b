"""Rows of tokens over one key-value cache: what a model has read of several texts, and how it reads on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import pad
from transformers import Cache
from transformers.cache_utils import DynamicLayer

Ids = Sequence[int]


class Rows:
    """Texts that a model reads in parallel. A row's tokens need not be neighbours in the cache: a mask says which are.

    mask: (rows, slots), 1 where a slot holds a token of the row. A token's position is the number of the row's tokens
    before it, so a row is read as it would be alone.
    """

    def __init__(self, model: nn.Module, mask: torch.Tensor, cache: Cache | None = None) -> None:
        self._model, self._mask = model, mask
        self._cache = Cache(layer_class_to_replicate=DynamicLayer) if cache is None else cache

    @classmethod
    def begun(cls, model: nn.Module, ids: Ids) -> Rows:
        """One row, which has read these tokens, of which there may be none."""
        rows = cls(model, torch.zeros(1, 0, dtype=torch.long, device=model.device))
        if ids:
            rows.read([ids])
        return rows

    @torch.no_grad()
    def read(self, ids: Sequence[Ids], keep: int = 1, padding: Literal["left", "right"] = "left") -> torch.Tensor:
        """Each row reads its next tokens; padding stands before or behind those of shorter ones.

        Returns the logits of the last `keep` slots: (rows, keep, vocabulary).
        """
        width = max(map(len, ids))
        tokens, mask = _padded(ids, width, padding, self._mask.device)
        self._mask = torch.cat([self._mask, mask], dim=1)
        positions = (self._mask.cumsum(dim=1) - 1).clamp(min=0)[:, -width:]
        return self._model(
            input_ids=tokens,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=keep,
        ).logits

    def picked(self, index: Sequence[int]) -> Rows:
        """These rows, in this order, one maybe several times; slots that none of them uses are given up."""
        chosen = torch.tensor(index, dtype=torch.long, device=self._mask.device)
        mask = self._mask[chosen]
        used = mask.any(dim=0)
        if used.all():
            return Rows(self._model, mask, self._with(lambda part: part[chosen]))
        return Rows(self._model, mask[:, used], self._with(lambda part: part[chosen][:, :, used]))

    def joined(self, other: Rows) -> Rows:
        """These rows and, behind them, the other's."""
        slots = max(self._mask.shape[1], other._mask.shape[1])
        masks, layers = [], []
        for rows in (self, other):
            missing = slots - rows._mask.shape[1]
            masks.append(pad(rows._mask, (missing, 0)))
            layers.append(rows._with(partial(pad, pad=(0, 0, missing, 0))).layers)
        merged = [
            _layer(torch.cat([one.keys, two.keys]), torch.cat([one.values, two.values]))
            for one, two in zip(*layers, strict=True)
        ]
        return Rows(self._model, torch.cat(masks), Cache(layers=merged))

    def _with(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Cache | None:
        """A cache of its own, of keys and values that are changed in this way: (rows, heads, slots, width)."""
        layers = [_layer(change(layer.keys), change(layer.values)) for layer in self._cache.layers]
        return Cache(layers=layers) if layers else None


def common_beginning(rows: Sequence[Ids]) -> int:
    """How many tokens all rows begin with."""
    first, last = min(rows), max(rows)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))


def _layer(keys: torch.Tensor, values: torch.Tensor) -> DynamicLayer:
    layer = DynamicLayer()
    layer.lazy_initialization(keys, values)
    layer.keys, layer.values = keys, values
    return layer


def _padded(
    ids: Sequence[Ids], width: int, padding: Literal["left", "right"], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and mask: (rows, width)."""
    gaps = [[0] * (width - len(row)) for row in ids]
    marks = [[1] * len(row) for row in ids]

    def placed(part: Sequence[Ids]) -> torch.Tensor:
        pairs = zip(gaps, part, strict=True)
        rows = [[*gap, *row] if padding == "left" else [*row, *gap] for gap, row in pairs]
        return torch.tensor(rows, dtype=torch.long, device=device)

    return placed(ids), placed(marks)
