"""What is amiss with training examples, whatever model they are for."""

from __future__ import annotations

import json
from collections.abc import Iterable

from harness.train.examples import Example


def flaws(examples: Iterable[Example]) -> dict[str, int]:
    """`duplicates`: examples that an earlier one equals; `empty_outputs`: those that teach no answer."""
    seen: set[str] = set()
    counts = {"duplicates": 0, "empty_outputs": 0}
    for example in examples:
        same = json.dumps([example.instruction, example.input, example.output, example.text, example.messages])
        counts["duplicates"] += same in seen
        counts["empty_outputs"] += not taught(example).strip()
        seen.add(same)
    return counts


def taught(example: Example) -> str:
    """What the model is to answer; of a plain text, all of it."""
    if example.format == "messages":
        return str(example.messages[-1]["content"])
    return example.text if example.format == "text" else example.output
