"""Log-likelihoods of continuations: what several have in common is read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.functional import log_softmax

from harness.score.cached_rows import Rows, common_beginning

Ids = tuple[int, ...]
Answer = tuple[float, bool]
"""A continuation's log-likelihood, and whether each of its tokens is the most likely one."""
PADDED = 0.2
"""By how much trunks that are read together differ in length at most, as a share of the longest's whole input."""


@dataclass
class Item:
    """One prompt and the continuations asked for, by what the model is given for them: all tokens but the last."""

    prompt: Ids
    asked: dict[Ids, list[tuple[int, Ids]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inputs: list[Ids] = []
        self.trunk: Ids = ()

    def closed(self) -> Item:
        """Itself, once all its continuations are there."""
        self.inputs = list(self.asked)
        self.trunk = self.inputs[0][: common_beginning(self.inputs)]
        return self

    @property
    def size(self) -> int:
        """The tokens of its longest input."""
        return max(map(len, self.inputs))

    @property
    def kept(self) -> int:
        """How many of the trunk's last places predict tokens of a continuation."""
        return len(self.trunk) - len(self.prompt) + 1


def likelihoods(
    model: nn.Module, requests: Sequence[tuple[Sequence[int], Sequence[int]]], batch_size: int, max_length: int,
    dtype: torch.dtype | None,
) -> Iterator[tuple[int, Answer]]:  # fmt: skip
    """The answers to requests, each a prompt's and a continuation's token ids, with the requests' numbers.

    A request of more than max_length + 1 tokens loses its beginning, as in lm-eval; dtype is the softmax's. No more
    tokens are read at a time than batch_size of the longest requests have.
    """
    items = _items(requests, max_length)
    beginning = min(common_beginning([item.trunk for item in items]), *(len(item.prompt) - 1 for item in items))
    begun = Rows.begun(model, items[0].trunk[:beginning])
    for batch in _batches(items, batch_size):
        yield from _answers(begun, beginning, batch, dtype)


def _items(requests: Sequence[tuple[Sequence[int], Sequence[int]]], max_length: int) -> list[Item]:
    items: dict[Ids, Item] = {}
    for number, (prompt, continuation) in enumerate(requests):
        row = (*prompt, *continuation)[-(max_length + 1) :]
        start = row[: len(row) - len(continuation)]
        item = items.setdefault(start, Item(start))
        item.asked.setdefault(row[:-1], []).append((number, tuple(continuation)))
    return sorted((item.closed() for item in items.values()), key=lambda item: (-len(item.trunk), item.trunk))


def _batches(items: Sequence[Item], batch_size: int) -> Iterator[list[Item]]:
    budget = batch_size * max(item.size for item in items)
    batch: list[Item] = []
    for item in items:
        together = [*batch, item]
        tokens = sum(len(each.inputs) for each in together) * max(each.size for each in together)
        padding = len(batch[0].trunk) - len(item.trunk) if batch else 0
        if batch and (tokens > budget or padding > PADDED * batch[0].size):
            yield batch
            together = [item]
        batch = together
    yield batch


def _answers(
    begun: Rows, beginning: int, items: Sequence[Item], dtype: torch.dtype | None
) -> Iterator[tuple[int, Answer]]:
    trunks = begun.picked([0] * len(items))
    kept = trunks.read([item.trunk[beginning:] for item in items], max(item.kept for item in items))
    rests = [
        (number, ids[len(item.trunk) :])
        for number, item in enumerate(items)
        for ids in item.inputs
        if len(ids) > len(item.trunk)
    ]
    branches = iter(())
    if rests:
        width = max(len(rest) for _, rest in rests)
        read = trunks.picked([number for number, _ in rests]).read([rest for _, rest in rests], width, "right")
        branches = iter(read)
    for item, trunk in zip(items, kept, strict=True):
        for ids in item.inputs:
            logits = trunk[-item.kept :]
            if rest := len(ids) - len(item.trunk):
                logits = torch.cat([logits, next(branches)[:rest]])
            yield from _read_off(log_softmax(logits, dim=-1, dtype=dtype), item.asked[ids])


def _read_off(chances: torch.Tensor, asked: Sequence[tuple[int, Ids]]) -> Iterator[tuple[int, Answer]]:
    """Answers for continuations that differ in the last token only. chances: (tokens, vocabulary)."""
    best = chances.argmax(dim=-1)
    for number, continuation in asked:
        tokens = torch.tensor(continuation, device=chances.device)
        found = chances.gather(1, tokens[:, None])
        yield number, (float(found.sum()), bool((best == tokens).all()))
