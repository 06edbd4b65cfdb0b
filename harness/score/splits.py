"""Where prompts end and continuations begin, for models that treat the two differently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

Request = tuple[Any, list[int], list[int]]
"""lm-eval's: the texts, the prompt's token ids, the continuation's."""


def tells_prompts_apart(model: nn.Module) -> bool:
    """Whether a model acts on the prompt only, as LoReFT does, and must be told where it ends."""
    return hasattr(model, "prompt_lengths")


class Splits:
    """The prompts' lengths of likelihood requests, in the order in which lm-eval puts them to the model.

    lm-eval joins prompt and continuation into one row: the longest first, equally long ones by their tokens.
    max_length: tokens that the model takes; a longer row loses its beginning.
    """

    def __init__(self, requests: Sequence[Request], max_length: int) -> None:
        ordered = sorted(requests, key=lambda request: (-len(request[1] + request[2]), tuple(request[1] + request[2])))
        self._rows: Iterator[tuple[list[int], int]] = (
            _row(prompt, continuation, max_length) for _, prompt, continuation in ordered
        )

    def lengths_of(self, batch: torch.Tensor) -> list[int]:
        """The lengths of the next rows' prompts. batch: (rows, length), padded on the right."""
        lengths = []
        for ids in batch.tolist():
            row, length = next(self._rows)
            if ids[: len(row)] != row:
                raise RuntimeError("lm-eval puts likelihood requests to the model in another order than expected")
            lengths.append(length)
        return lengths


def _row(prompt: list[int], continuation: list[int], max_length: int) -> tuple[list[int], int]:
    """What the model is given, which lacks the last token, and how much of it is prompt."""
    row = (prompt + continuation)[-(max_length + 1) :][:-1]
    return row, max(0, len(row) + 1 - len(continuation))
