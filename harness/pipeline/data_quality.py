"""What can be said of training data before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.errors import RunError
from harness.spec.run import DataRef, PromptRef
from harness.train.examples import Example, read
from harness.train.flaws import flaws


@dataclass(frozen=True)
class Measure:
    """How tokens are counted: whose tokenizer, in which template, and where an example would be cut."""

    model: str
    prompt: PromptRef
    max_length: int
    revision: str | None = None


def quality(data: DataRef, measure: Measure | None = None) -> dict[str, Any]:
    """`examples`, `duplicates`, `empty_outputs`, and with a measure `lengths` in tokens and `prefix`.

    prefix: how the first examples' tokens compare with those of their scoring prompts. Raises RunError for data that
    can't be read or that the tokenizer can't take, PrerequisiteError where a file or the tokenizer is missing.
    """
    examples = read(data)
    found: dict[str, Any] = {"examples": len(examples), **flaws(examples), "lengths": None, "prefix": None}
    return found | (_in_tokens(examples, measure) if measure else {})


def _in_tokens(examples: list[Example], measure: Measure) -> dict[str, Any]:
    from harness.train.base_model import load_tokenizer
    from harness.train.lengths import length_report
    from harness.train.prefix import check_prefix
    from harness.train.tokens import encoded

    tokenizer = load_tokenizer(measure.model, measure.revision)
    prefix = check_prefix(examples, tokenizer, measure.prompt)
    try:
        lengths = [len(row.ids) for row in encoded(examples, tokenizer, measure.prompt)]
    except ValueError as error:  # a tokenizer that can't encode some text
        raise RunError("data", str(error)) from error
    return {"lengths": length_report(lengths, measure.max_length), "prefix": prefix}
