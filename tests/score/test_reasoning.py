"""A chain of thought of a model in memory: where its answer is looked for, and how long it may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from transformers import LlamaForCausalLM

from harness.catalog.prompts import prompts
from harness.errors import RunError
from harness.score.statement import AfterLast
from harness.spec.run import RunSpec


@pytest.mark.parametrize(
    ("reply", "looked_at"),
    [
        ("true or false? The correct answer is true.", " true."),
        ("the correct answer is true. No: THE CORRECT ANSWER IS false", " false"),
        ("so **the correct answer is**\n\nfalse", "**\n\nfalse"),
        ("İ think: the correct answer is true", " true"),
        ("it must be true", ""),
        ("", ""),
    ],
)
def test_only_what_follows_the_last_statement_is_looked_at(reply: str, looked_at: str) -> None:
    assert AfterLast("the correct answer is").apply([[reply]], [{}]) == [[looked_at]]


def reasoning(make_run: Callable[..., RunSpec], **changes: Any) -> RunSpec:
    run, template = make_run(prompt="zero_shot_cot", store_outputs="all"), prompts()["zero_shot_cot"]
    wording = {"answer_after": template.answer_after, "max_tokens": template.max_tokens} | changes
    return run.model_copy(update={"prompt": run.prompt.model_copy(update=wording)})


def test_a_template_sets_how_long_answers_may_be(
    make_run: Callable[..., RunSpec], model: LlamaForCausalLM, scored: Callable[..., Any]
) -> None:
    (short,) = scored(reasoning(make_run, max_tokens=None), model, "mine")
    (long,) = scored(reasoning(make_run, max_tokens=48), model, "mine")
    pairs = [(a.output, b.output) for a, b in zip(short.samples, long.samples, strict=True)]
    assert all(b.startswith(a.rstrip("\ufffd")) for a, b in pairs)
    assert any(len(b) > len(a) for a, b in pairs)
    assert short.provenance["generation"]["max_gen_toks"] == 32 and long.provenance["generation"]["max_gen_toks"] == 48


def test_an_output_without_a_statement_is_kept_and_has_no_answer(
    make_run: Callable[..., RunSpec], model: LlamaForCausalLM, scored: Callable[..., Any]
) -> None:
    (result,) = scored(reasoning(make_run, max_tokens=8), model, "mine")
    (free,) = scored(reasoning(make_run, max_tokens=8, answer_after=None), model, "mine")
    assert {sample.answer for sample in result.samples} == {None}
    assert [sample.output for sample in result.samples] == [sample.output for sample in free.samples]
    assert all(sample.output for sample in result.samples)


def test_answers_that_leave_the_model_no_room_for_a_prompt_are_refused(
    make_run: Callable[..., RunSpec], model: LlamaForCausalLM, scored: Callable[..., Any]
) -> None:
    with pytest.raises(RunError, match="512 tokens of answer leave no room in the model's 512") as error:
        scored(reasoning(make_run), model, "mine")
    assert error.value.kind == "config"
