"""The prompt templates."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from jinja2 import UndefinedError

from harness.catalog.prompts import prompt, prompts, render
from harness.errors import NotFoundError


@pytest.mark.parametrize("name", ["llm_adapters", "chat", "none"])
def test_training_and_scoring_share_the_template(name):
    assert prompt(name).train == prompt(name).score


def test_only_the_verbatim_template_differs():
    assert [name for name, found in prompts().items() if found.train != found.score] == ["llm_adapters_verbatim"]


def test_an_instruction_is_wrapped_as_llm_adapters_does_it():
    text = render(prompt("llm_adapters").train, "Is it raining?")
    assert text.startswith("Below is an instruction that describes a task. Write")
    assert text.endswith("### Instruction:\nIs it raining?\n\n### Response:\n")
    assert "### Input:\nOutside." in render(prompt("llm_adapters").train, "Is it raining?", "Outside.")


def test_none_adds_nothing():
    assert render(prompt("none").score, "Two and two?") == "Two and two?"
    assert render(prompt("none").score, "Add.", "2 2") == "Add.\n2 2"


def test_chat_is_the_tokenizers_own_template():
    def apply(messages, tokenize, add_generation_prompt):
        return f"<{messages[0]['role']}>{messages[0]['content']}<assistant>"

    tokenizer = SimpleNamespace(chat_template="...", apply_chat_template=apply)
    assert render(prompt("chat").train, "Add.", "2 2", tokenizer) == "<user>Add.\n2 2<assistant>"


@pytest.mark.parametrize("tokenizer", [None, SimpleNamespace(chat_template=None)])
def test_chat_needs_a_tokenizer_with_a_template(tokenizer):
    with pytest.raises(ValueError, match="needs a tokenizer with a chat template"):
        render(prompt("chat").train, "Add.", tokenizer=tokenizer)


def test_braces_in_an_example_are_text():
    assert render(prompt("none").train, "{{ 1 + 1 }}") == "{{ 1 + 1 }}"


def test_a_template_knows_only_its_fields():
    with pytest.raises(UndefinedError):
        render("{{ secret }}", "x")


def test_an_unknown_prompt_is_answered_with_the_nearest():
    with pytest.raises(NotFoundError, match="unknown prompt 'llm_adapter', did you mean 'llm_adapters'"):
        prompt("llm_adapter")
