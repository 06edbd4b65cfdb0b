"""A run's training and validation rows: read, drawn and tokenised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from harness.spec.run import DataRef, PromptRef, TrainSettings
from harness.train.examples import draw, read
from harness.train.flaws import flaws
from harness.train.lengths import check_context, length_report, within_context
from harness.train.prefix import check_prefix
from harness.train.tokens import tokenise


@dataclass(frozen=True)
class Rows:
    """Tokenised rows, and counts of examples: `read`, `used`, `validation`, and those of `tokens.Tokenised`.

    The counts also hold the `flaws` of the training examples; quality: their token lengths, and how their beginnings
    compare with the scoring prompts.
    """

    train: Dataset
    validation: Dataset
    counts: dict[str, int]
    quality: dict[str, Any] = field(default_factory=dict)


def prepare(
    data: DataRef,
    prompt: PromptRef,
    settings: TrainSettings,
    seed: int,
    tokenizer: PreTrainedTokenizerBase,
    context: int | None = None,
) -> Rows:
    """The rows that a run trains on and validates with. The method has no part in it.

    context: the tokens that the model takes, beyond which nothing is trained. Raises RunError("data") for data that
    can't be read, for prompts that are scored otherwise than trained, and where over 5 % of examples are too long.
    """
    examples = read(data)
    used, held_out = draw(examples, data, seed)
    prefix = check_prefix(used, tokenizer, prompt)
    within = within_context(settings, context)
    train = tokenise(used, tokenizer, prompt, within)
    check_context(train.lengths, settings.max_length, context)
    validation = tokenise(held_out, tokenizer, prompt, within)
    sizes = {"read": len(examples), "used": len(train.rows), "validation": len(validation.rows)}
    quality = {"lengths": length_report(train.lengths, within.max_length), "prefix": prefix}
    return Rows(train.rows, validation.rows, {**sizes, **train.counts, **flaws(used)}, quality)
