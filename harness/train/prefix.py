"""Whether a model is trained on the very tokens with which it will be asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from harness.catalog.prompts import render
from harness.errors import RunError
from harness.spec.run import PromptRef
from harness.train.examples import Example
from harness.train.tokens import encoded

CHECKED = 20
SHOWN = 60


@dataclass(frozen=True)
class Difference:
    """The first token at which a scoring prompt leaves what is trained; None where that ends."""

    place: int
    scored: str
    trained: str | None

    def __str__(self) -> str:
        trained = "nothing" if self.trained is None else repr(self.trained)
        return f"token {self.place} is {self.scored!r} when scored and {trained} when trained"


def check_prefix(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, prompt: PromptRef) -> dict[str, Any]:
    """Compares the first 20 examples' tokens with those of their scoring prompts, as lm-eval makes them.

    Returns `checked`, `mismatched` and `first`, the first difference in words. Where a published recipe scores
    with another template than it trains with, a mismatch is reported; else it raises RunError("data").
    """
    asked = [example for example in examples[:CHECKED] if example.format != "text"]
    trained = [row.ids for row in encoded(asked, tokenizer, prompt)]
    found = []
    for example, ids in zip(asked, trained, strict=True):
        difference = first_difference(_scored(example, tokenizer, prompt), ids, tokenizer)
        if difference is not None and prompt.train == prompt.score:
            raise RunError("data", _told(difference, example))
        found += [difference] if difference else []
    return {"checked": len(asked), "mismatched": len(found), "first": str(found[0]) if found else None}


def first_difference(
    scored: Sequence[int], trained: Sequence[int], tokenizer: PreTrainedTokenizerBase
) -> Difference | None:
    """Where the scoring prompt's ids are no beginning of the trained ones; None where they are."""
    for place, token in enumerate(scored):
        other = trained[place] if place < len(trained) else None
        if token != other:
            shown = tokenizer.convert_ids_to_tokens
            return Difference(place, str(shown(token)), None if other is None else str(shown(other)))
    return None


def _scored(example: Example, tokenizer: PreTrainedTokenizerBase, prompt: PromptRef) -> list[int]:
    """The ids of an example's scoring prompt, one text at a time.

    Raises RunError("data") for a tokenizer that puts something behind every text, so behind every prompt.
    """
    text = _scored_text(example, tokenizer, prompt)
    opened = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    plain = tokenizer.encode(text, add_special_tokens=False)
    ids = plain if opened else tokenizer.encode(text)
    if plain and ids[-1] != plain[-1]:
        last = tokenizer.convert_ids_to_tokens(ids[-1])
        raise RunError(
            "data", f"the tokenizer ends every text with {last!r}, a prompt too; turn that off (add_eos_token)"
        )
    return ids


def _scored_text(example: Example, tokenizer: PreTrainedTokenizerBase, prompt: PromptRef) -> str:
    if example.format == "instruction":
        return render(prompt.score, example.instruction, example.input, tokenizer)
    if example.format == "prompt_completion":
        return example.instruction
    before = list(example.messages[:-1])
    return str(tokenizer.apply_chat_template(before, tokenize=False, add_generation_prompt=True))


def _told(difference: Difference, example: Example) -> str:
    return (
        f"the scoring prompt's tokens are not the beginning of the training example's: {difference} "
        f"(example {example.instruction[:SHOWN]!r})"
    )
