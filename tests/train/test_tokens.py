"""Token ids and labels: what the model sees, and what it is taught."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from harness.catalog.prompts import render
from harness.errors import RunError
from harness.spec.run import TrainSettings
from harness.train.examples import Example
from harness.train.tokens import IGNORED, Tokenised, prompt_ids, tokenise

from .runs import prompt, rows

CHAT = (
    "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)
EXAMPLES = [Example("instruction", row["instruction"], row["input"], row["output"]) for row in rows(6)]


def tokenised(
    tokenizer: PreTrainedTokenizerFast, examples: list[Example], template: str = "llm_adapters", **settings: Any
) -> Tokenised:
    return tokenise(examples, tokenizer, prompt(template), TrainSettings(**{"max_length": 512, **settings}))


@pytest.mark.parametrize("template", ["llm_adapters", "none"])
def test_the_scoring_prompt_is_the_exact_prefix_of_the_training_example(
    tokenizer: PreTrainedTokenizerFast, template: str
) -> None:
    made = tokenised(tokenizer, EXAMPLES, template)
    for example, row in zip(EXAMPLES, made.rows, strict=True):
        asked = tokenizer(render(prompt(template).score, example.instruction, example.input))["input_ids"]
        assert row["input_ids"][: len(asked)] == asked
        assert tokenizer.decode(row["input_ids"][len(asked) :]) == example.output + "</s>"
    assert made.counts == {"truncated": 0, "dropped": 0, "prefix_mismatch": 0}


def test_loss_is_taken_on_all_tokens_or_on_the_completion_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = tokenised(tokenizer, EXAMPLES, loss_on="all").rows[0]
    assert whole["labels"] == whole["input_ids"]
    answer = tokenised(tokenizer, EXAMPLES, loss_on="completion").rows[0]
    taught = [label for label in answer["labels"] if label != IGNORED]
    assert tokenizer.decode(taught) == EXAMPLES[0].output + "</s>"
    assert answer["labels"][-len(taught) :] == taught


def test_the_verbatim_template_is_joined_first_and_its_mismatch_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    made = tokenised(tokenizer, EXAMPLES, "llm_adapters_verbatim")
    assert made.counts["prefix_mismatch"] == len(EXAMPLES)
    text = render(prompt("llm_adapters_verbatim").train, EXAMPLES[0].instruction) + EXAMPLES[0].output
    assert made.rows[0]["input_ids"] == [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]


def test_long_examples_are_cut_and_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    made = tokenised(tokenizer, EXAMPLES, max_length=20)
    assert made.counts["truncated"] == len(EXAMPLES)
    assert {len(row["input_ids"]) for row in made.rows} == {20}


def test_examples_that_keep_no_label_are_dropped_and_counted(tokenizer: PreTrainedTokenizerFast) -> None:
    brief = Example("prompt_completion", instruction="2+2=", output="4")
    made = tokenised(tokenizer, [EXAMPLES[0], brief], loss_on="completion", max_length=20)
    assert made.counts["dropped"] == 1
    assert len(made.rows) == 1
    with pytest.raises(RunError, match="no example has an answer within max_length 20"):
        tokenised(tokenizer, EXAMPLES, loss_on="completion", max_length=20)


def test_plain_text_is_taught_as_a_whole(tokenizer: PreTrainedTokenizerFast) -> None:
    row = tokenised(tokenizer, [Example("text", text="The heron waits.")], loss_on="completion").rows[0]
    assert tokenizer.decode([label for label in row["labels"] if label != IGNORED]) == "The heron waits.</s>"


def test_a_prompt_and_its_completion_stand_as_they_are(tokenizer: PreTrainedTokenizerFast) -> None:
    row = tokenised(tokenizer, [Example("prompt_completion", instruction="2+2=", output="4")]).rows[0]
    assert tokenizer.decode(row["input_ids"]) == "2+2=4</s>"


def test_of_a_conversation_the_last_answer_is_the_completion(tokenizer: PreTrainedTokenizerFast) -> None:
    turns = [("user", "hi"), ("assistant", "hello"), ("user", "who?"), ("assistant", "me")]
    talk = Example("messages", messages=tuple({"role": role, "content": text} for role, text in turns))
    with pytest.raises(RunError, match="needs a tokenizer with a chat template"):
        tokenised(tokenizer, [talk])
    tokenizer.chat_template = CHAT
    try:
        row = tokenised(tokenizer, [talk], loss_on="completion").rows[0]
    finally:
        tokenizer.chat_template = None
    assert tokenizer.decode([label for label in row["labels"] if label != IGNORED]) == "me\n"


def test_the_chat_prompt_needs_a_chat_template(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(RunError, match="choose another prompt"):
        tokenised(tokenizer, EXAMPLES, "chat")


def test_a_text_that_opens_with_begin_of_text_gets_no_second_one(tokenizer: PreTrainedTokenizerFast) -> None:
    from tokenizers.processors import TemplateProcessing

    opening = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer.__class__.from_str(tokenizer.backend_tokenizer.to_str()),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
    )
    opening.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    plain, marked = prompt_ids(opening, ["heron", "<s>heron"])
    assert plain == marked
    assert plain[0] == 0
    row = tokenised(opening, [Example("text", text="<s>heron")]).rows[0]
    assert row["input_ids"] == [*plain, 1]
