"""The prompt templates of training and scoring."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import yaml
from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness.errors import NotFoundError, nearest
from harness.paths import PACKAGE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHAT = "{{ chat }}"
"""In a template, the tokenizer's chat rendering of the example."""


@dataclass(frozen=True)
class Prompt:
    """A template pair: Jinja texts over `instruction`, `input` and `chat` (the tokenizer's chat rendering).

    answer_after: the words that announce the answer, where the template asks for reasoning before it: a task looks
    for the answer behind the last of them only; max_tokens: how much may be generated, in place of the task's own.
    """

    name: str
    train: str
    score: str
    answer_after: str | None = None
    max_tokens: int | None = None
    notes: str = ""


@lru_cache
def prompts() -> dict[str, Prompt]:
    """Every known template by name."""
    raw = yaml.safe_load((PACKAGE / "catalog" / "prompts.yaml").read_text(encoding="utf-8"))
    return {name: Prompt(name=name, **fields) for name, fields in raw.items()}


def prompt(name: str) -> Prompt:
    """The template pair of this name. Raises NotFoundError with the nearest one."""
    try:
        return prompts()[name]
    except KeyError:
        raise NotFoundError(f"unknown prompt {name!r}, {nearest(name, prompts())}") from None


@lru_cache
def _compiled(template: str) -> Template:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False)
    return environment.from_string(template)


def render(template: str, instruction: str, input: str = "", tokenizer: PreTrainedTokenizerBase | None = None) -> str:
    """The prompt for one example.

    `tokenizer` is needed by templates that use `chat`. Raises ValueError where it has no chat template.
    """
    chat = ""
    if CHAT in template:
        if tokenizer is None or not tokenizer.chat_template:
            raise ValueError("prompt: chat needs a tokenizer with a chat template; choose another prompt")
        text = f"{instruction}\n{input}" if input else instruction
        messages = [{"role": "user", "content": text}]
        chat = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return _compiled(template).render(instruction=instruction, input=input, chat=chat)
