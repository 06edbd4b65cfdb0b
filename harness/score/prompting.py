"""The prompt of a built-in task's item.

Tasks are read and scored inside `scoring_prompt`, which says what a run's template is: so the templates that
need the tokenizer's chat rendering pass no differently from the others, the items that lm-eval hashes stay as
the data file has them, and one task index serves every run of a process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from harness.catalog.prompts import prompts, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DEFAULT = "llm_adapters"
_in_use: ContextVar[tuple[str, PreTrainedTokenizerBase | None] | None] = ContextVar("scoring_prompt", default=None)


@contextmanager
def scoring_prompt(template: str, tokenizer: PreTrainedTokenizerBase | None) -> Iterator[None]:
    """Within: items are put to the model in this template."""
    token = _in_use.set((template, tokenizer))
    try:
        yield
    finally:
        _in_use.reset(token)


def prompt(doc: Mapping[str, Any]) -> str:
    """lm-eval `doc_to_text`: the item in the run's template, or in the default one where lm-eval runs by itself."""
    template, tokenizer = _in_use.get() or (prompts()[DEFAULT].score, None)
    return render(template, doc["instruction"], doc.get("input") or "", tokenizer)
