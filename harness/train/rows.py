"""A run's training and validation rows: read, drawn and tokenised."""

from __future__ import annotations

from dataclasses import dataclass

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from harness.spec.run import DataRef, PromptRef, TrainSettings
from harness.train.examples import draw, read
from harness.train.tokens import tokenise


@dataclass(frozen=True)
class Rows:
    """Tokenised rows, and counts of examples: `read`, `used`, `validation`, and those of `tokens.Tokenised`."""

    train: Dataset
    validation: Dataset
    counts: dict[str, int]


def prepare(
    data: DataRef, prompt: PromptRef, settings: TrainSettings, seed: int, tokenizer: PreTrainedTokenizerBase
) -> Rows:
    """The rows that a run trains on and validates with. The method has no part in it."""
    examples = read(data)
    used, held_out = draw(examples, data, seed)
    train = tokenise(used, tokenizer, prompt, settings)
    validation = tokenise(held_out, tokenizer, prompt, settings)
    sizes = {"read": len(examples), "used": len(train.rows), "validation": len(validation.rows)}
    return Rows(train.rows, validation.rows, {**sizes, **train.counts})
