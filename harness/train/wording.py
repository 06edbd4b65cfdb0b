"""LLM-Adapters' multiple-choice rows, asked again as two-way choices in the words of another of its data sets."""

from __future__ import annotations

import random
import re
from typing import Any

from harness.errors import RunError
from harness.spec.run import WordingRef

_QUESTION = re.compile(
    r"Please choose the correct answer to the question: (?P<question>.*?)\n\n"
    r"(?P<choices>Answer1: .*)\n\nAnswer format: answer1\S*",
    re.DOTALL,
)
_CHOICE = re.compile(r"\s*Answer\d+: ")
_ANSWER = re.compile(r"the correct answer is answer(\d+)")


def reword(row: dict[str, Any], wording: WordingRef, number: int) -> dict[str, Any]:
    """The row's right answer and one of the wrong ones, as `wording` asks for them.

    Which wrong answer, and which of the two comes first, is drawn with the row's number: the same on every machine.

    Raises RunError("data") for a row that is no multiple-choice question as LLM-Adapters words it.
    """
    asked = _QUESTION.fullmatch(str(row.get("instruction")))
    answered = _ANSWER.fullmatch(str(row.get("output")))
    choices = _CHOICE.split(asked["choices"])[1:] if asked else []
    right = int(answered[1]) if answered else 0
    if asked is None or not 1 <= right <= len(choices) or len(choices) < 2:
        raise RunError("data", f"row {number} is no multiple-choice question, so it can't be asked in other words")
    draw = random.Random(number)  # noqa: S311
    wrong = draw.choice(choices[: right - 1] + choices[right:])
    place = draw.choice((1, 2))
    first, second = (choices[right - 1], wrong) if place == 1 else (wrong, choices[right - 1])
    instruction = wording.instruction.format(question=asked["question"], first=first, second=second)
    return {"instruction": instruction, "output": f"the correct answer is {wording.answer}{place}"}
