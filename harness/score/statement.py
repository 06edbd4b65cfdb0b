"""Where the answer stands in a reply that reasons first.

LLM-Adapters' rule takes the first word of the answer format that a reply holds, and a chain of thought holds all of
them. So a template that asks for reasoning names the words that announce the answer, and the task's own rule is
applied to what follows the last of them alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from lm_eval.api.filter import Filter
from lm_eval.api.task import Task

from harness.catalog.tasks import GENERATIVE


class AfterLast(Filter):
    """lm-eval filter: what follows the last occurrence of the announcing words, upper or lower case; "" without."""

    def __init__(self, words: str) -> None:
        self._words = re.compile(re.escape(words), re.IGNORECASE)

    def apply(self, resps: Sequence[Sequence[str]], docs: Sequence[dict[str, Any]]) -> list[list[str]]:
        """The replies of each item, each cut."""
        return [[self._stated(text) for text in texts] for texts in resps]

    def _stated(self, text: str) -> str:
        found = list(self._words.finditer(text))
        return text[found[-1].end() :] if found else ""


def look_only_after(task: Task, words: str) -> None:
    """Puts the cut before each of a generative task's own filters; the outputs that are kept stay whole."""
    if task.get_config("output_type") == GENERATIVE:
        for ensemble in task._filters:
            ensemble.filters.insert(0, partial(AfterLast, words))
