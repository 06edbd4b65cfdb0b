"""The rows on which outputs are compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

COMPARED = 8
"""Rows whose logits are compared; the loss is that of all rows."""
IGNORED = -100


@dataclass(frozen=True)
class Probe:
    """Token ids, mask and labels, each (rows, tokens), padded on the right."""

    ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor

    def logits(self, model: PreTrainedModel | PeftModel) -> torch.Tensor:
        """The logits of the first rows' own tokens, (tokens, vocabulary); puts the model into evaluation mode."""
        return logits(model, self.ids[:COMPARED], self.mask[:COMPARED])

    def loss(self, model: PreTrainedModel | PeftModel) -> float:
        """The mean cross-entropy of the labels, without dropout and what a trainer adds to it."""
        from torch.nn.functional import cross_entropy, pad

        following = pad(self.labels[:, 1:], (0, 1), value=IGNORED)[self.mask.bool()]
        return float(cross_entropy(logits(model, self.ids, self.mask), following, ignore_index=IGNORED))


def probe(rows: Iterable[Mapping[str, Any]], padding: int) -> Probe:
    """The probe of tokenised rows (`input_ids`, `labels`)."""
    import torch

    pairs = [(torch.tensor(row["input_ids"]), torch.tensor(row["labels"])) for row in rows]
    ids, labels = ([pair[index].long() for pair in pairs] for index in (0, 1))
    pad = torch.nn.utils.rnn.pad_sequence
    mask = pad([torch.ones_like(one) for one in ids], batch_first=True)
    return Probe(
        pad(ids, batch_first=True, padding_value=padding), mask, pad(labels, batch_first=True, padding_value=IGNORED)
    )


def logits(model: PreTrainedModel | PeftModel, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """As `Probe.logits`; a prompt that the adapter puts before the tokens is left out."""
    import torch

    with torch.no_grad():
        found = model.eval()(input_ids=ids, attention_mask=mask).logits
    return found[:, -ids.shape[1] :][mask.bool()].float()


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference of two outputs over the largest of their values; infinite where it is no number.

    Relative, because the rounding of logits of 30 is thirty times that of logits of 1.
    """
    if ours.shape != theirs.shape:
        return math.inf
    apart = float((ours - theirs).abs().max() / max(1.0, float(theirs.abs().max())))
    return math.inf if math.isnan(apart) else apart
