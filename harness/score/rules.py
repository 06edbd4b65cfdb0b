"""What the built-in tasks take for an answer and when it is right: LLM-Adapters' rules.

The task YAMLs name these functions. A change of what one returns raises the version of its tasks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

NUMBER = re.compile(r"-?\d+\.?\d*")
TOLERANCE = 1e-3
NOTHING_FOUND = ("", "[invalid]")
"""What a filter leaves where it found no answer: the built-in tasks' and lm-eval's word for it."""

RESPONSE = "### Response:"

Doc = Mapping[str, Any]
Likelihood = tuple[float, bool]


def first_responses(responses: Sequence[Sequence[str]], docs: Sequence[Doc]) -> list[list[str]]:
    """lm-eval filter: each response up to where the model begins another one, which LLM-Adapters' code drops."""
    return [[text.partition(RESPONSE)[0] for text in texts] for texts in responses]


def last_numbers(responses: Sequence[Sequence[str]], docs: Sequence[Doc]) -> list[list[str]]:
    """lm-eval filter: the last number of each response, thousands separators removed; "" where there is none."""
    return [[_last_number(text) for text in texts] for texts in responses]


def _last_number(text: str) -> str:
    found = NUMBER.findall(text.replace(",", ""))
    return found[-1] if found else ""


def same_text(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Right if the extracted answer is the gold one, letter for letter."""
    (answer,) = results
    return {"accuracy": float(answer == doc["answer"]), "extracted": float(answer not in NOTHING_FOUND)}


def same_number(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Right if the extracted number is within a thousandth of the gold one."""
    (answer,) = results
    right = answer not in NOTHING_FOUND and abs(float(doc["answer"]) - float(answer)) <= TOLERANCE
    return {"accuracy": float(right), "extracted": float(answer not in NOTHING_FOUND)}


def continuations(doc: Doc) -> list[str]:
    """The sentences whose likelihoods are compared: training's own wording around each choice."""
    return [f"the correct answer is {choice}" for choice in doc["choices"]]


def gold(doc: Doc) -> int:
    """The position of the right choice."""
    return list(doc["choices"]).index(doc["answer"])


def most_likely(doc: Doc, results: Sequence[Likelihood]) -> dict[str, float]:
    """Right if the gold choice's sentence is the most likely one (the first of equals)."""
    likelihoods = [likelihood for likelihood, _ in results]
    return {"accuracy": float(likelihoods.index(max(likelihoods)) == gold(doc))}
