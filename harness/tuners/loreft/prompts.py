"""Which tokens of a forward pass are the prompt's."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .positions import Positions

IGNORED = -100
"""The label of a token on which no loss is taken."""

Selection = tuple[torch.Tensor, torch.Tensor]
"""Rows and columns of the selected tokens, (n,) each."""


@dataclass(frozen=True)
class Call:
    """What a forward pass was given: (rows, new) tokens after `past` cached ones, and what came with them."""

    rows: int
    new: int
    past: int
    device: torch.device
    mask: torch.Tensor | None
    labels: torch.Tensor | None
    position_ids: torch.Tensor | None

    @classmethod
    def of(cls, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Reads the arguments of a forward pass of `module`."""
        given = dict(kwargs)
        if args:
            given.update(zip(inspect.signature(module.forward).parameters, args, strict=False))
        tokens = given.get("input_ids")
        tokens = given["inputs_embeds"] if tokens is None else tokens
        cache, labels = given.get("past_key_values"), given.get("labels")
        return cls(
            rows=tokens.shape[0],
            new=tokens.shape[1],
            past=0 if cache is None else int(cache.get_seq_length()),
            device=tokens.device,
            mask=given.get("attention_mask"),
            # A classifier's labels are one a row and say nothing of tokens.
            labels=labels if labels is not None and labels.shape == tokens.shape[:2] else None,
            position_ids=given.get("position_ids"),
        )

    @property
    def total(self) -> int:
        return self.past + self.new

    def attended(self) -> torch.Tensor:
        """The tokens that are no padding, cached ones included: (rows, total)."""
        if self.mask is None:
            self._check_not_packed()
            return torch.ones(self.rows, self.total, dtype=torch.bool, device=self.device)
        shape = tuple(self.mask.shape) if isinstance(self.mask, torch.Tensor) else ()
        if len(shape) != 2 or shape[0] != self.rows or shape[1] < self.total:
            got = shape or type(self.mask).__name__
            raise ValueError(
                f"LoReFT finds the prompt by the attention mask of (rows, tokens), here ({self.rows}, {self.total}), "
                f"got {got}; a static cache's mask has another form."
            )
        return self.mask[:, : self.total].bool()

    def _check_not_packed(self) -> None:
        positions = self.position_ids
        if positions is not None and positions.dim() == 2 and bool((positions.diff(dim=1) < 1).any()):
            raise ValueError("LoReFT edits one prompt a row and can't be trained on packed rows: set no packing.")


class Prompts:
    """Finds the prompt of the forward pass that is under way; the layers of a model share it.

    `begin` and `end` are hooks of the model. Where nothing else is said, all that comes before the first label other
    than -100 is the prompt, or without labels all tokens of a pass that starts without a cache.
    """

    def __init__(self) -> None:
        self._call: Call | None = None
        self._boundary: int | torch.Tensor | None = None
        self._selected: dict[tuple[Positions, int], tuple[Selection, ...]] = {}

    @contextmanager
    def bounded(self, boundary: int | torch.Tensor) -> Iterator[None]:
        """Within: prompts are what lies in the first columns (a number), or so many tokens of each row (a tensor)."""
        before, self._boundary = self._boundary, boundary
        try:
            yield
        finally:
            self._boundary = before

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The model's pre-hook: a forward pass with these arguments starts."""
        self._call = Call.of(module, args, kwargs)
        self._selected.clear()

    def end(self, *_: Any) -> None:
        """The model's hook: the forward pass is over, also where it failed."""
        self._call = None
        self._selected.clear()

    def selected(self, positions: Positions, interventions: int) -> tuple[Selection, ...]:
        """Returns the tokens that each intervention edits; nothing where no token of the prompt can be among them.

        Raises:
            RuntimeError: no forward pass of the model is under way.
            ValueError: the prompt can't be told from the rest.
        """
        if self._call is None:
            raise RuntimeError(
                "LoReFT does not know the prompt: a decoder layer was run outside of a forward pass of the model that "
                "it was put into. Call that model, not a part of it."
            )
        key = positions, interventions
        if key not in self._selected:
            self._selected[key] = self._select(self._call, positions, interventions)
        return self._selected[key]

    def _select(self, call: Call, positions: Positions, interventions: int) -> tuple[Selection, ...]:
        prompt = self._prompt(call)
        if prompt is None:
            return ()
        first, last = positions.ends(prompt)
        masks = (first | last,) if interventions == 1 else (first, last)
        return tuple(mask[:, call.past : call.total].nonzero(as_tuple=True) for mask in masks)

    def _prompt(self, call: Call) -> torch.Tensor | None:
        """The prompt's tokens, (rows, total or more); None where all of them are in the cache already."""
        if isinstance(self._boundary, torch.Tensor):
            return _first_tokens(call, self._boundary)
        if self._boundary is not None:
            return _first_columns(call, self._boundary)
        if call.past:
            return None
        return call.attended() if call.labels is None else _before_labels(call, call.labels)


def _first_tokens(call: Call, lengths: torch.Tensor) -> torch.Tensor:
    if lengths.shape != (call.rows,):
        raise ValueError(f"Lengths of prompts were given for {lengths.numel()} rows, the batch has {call.rows}.")
    attended = _with_more(call, int(lengths.max()))
    return attended & (attended.cumsum(1) <= lengths.to(call.device)[:, None])


def _first_columns(call: Call, width: int) -> torch.Tensor | None:
    if call.past >= width:
        return None
    attended = _with_more(call, max(0, width - call.total))
    return attended & (torch.arange(attended.shape[1], device=call.device) < width)


def _with_more(call: Call, columns: int) -> torch.Tensor:
    """The attended tokens and so many that may follow: a prompt that comes in parts ends in a later pass."""
    return nn.functional.pad(call.attended(), (0, columns), value=True)


def _before_labels(call: Call, labels: torch.Tensor) -> torch.Tensor:
    learned = labels != IGNORED
    prompt = call.attended() & (learned.cumsum(1) == 0)
    if bool((learned.any(1) & ~prompt.any(1)).any()):
        raise ValueError(
            "LoReFT edits tokens of the prompt, and a row has none: its labels count from its first token on. Train "
            "on the completion only (`loss_on: completion`; in TRL `completion_only_loss`), or set `positions: all`."
        )
    return prompt
