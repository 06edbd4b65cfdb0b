"""An answer is settled once nothing that the model may still write can change it."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from harness.score.decided import Rule, deciding_rules
from harness.score.statement import look_only_after
from harness.score.task_index import load_tasks
from harness.spec.run import RunSpec
from harness.store.records import TaskResult


def texts(alphabet: str, longest: int) -> list[str]:
    return ["".join(letters) for length in range(longest + 1) for letters in product(alphabet, repeat=length)]


def answer(words: list[str], text: str, cut: str) -> str | None:
    kept = text.split(cut)[0]
    if not words:
        return kept
    found = re.findall("|".join(words), kept)
    return found[0] if found else None


@pytest.mark.parametrize(
    "words", [["ab", "b"], ["b", "aab", "ab"], ["a", "ab"], ["ab", "a"], ["abab", "ba"], ["aa", "aba", "b"], []]
)
@pytest.mark.parametrize("cut", ["<", "b<", "ab<"])
def test_no_continuation_changes_a_settled_answer(words: list[str], cut: str) -> None:
    rule = Rule(tuple(words), (cut,))
    settled = [text for text in texts("ab<", 4) if rule.settled(text)]
    assert settled
    for text in settled:
        assert {answer(words, text + more, cut) for more in texts("ab<", 4)} == {answer(words, text, cut)}


@pytest.mark.parametrize(
    ("words", "text", "settled"),
    [
        (["true", "false"], "the correct answer is tru", False),
        (["true", "false"], "the correct answer is true", True),
        (["solution1", "solution2"], "solution2", True),
        (["answer1", "answer10"], "answer1", True),
        (["answer10", "answer1"], "answer1", False),
        (["answer10", "answer1"], "answer1.", True),
        (["A", "B"], "nothing", False),
        (["true"], "true \ufffd", True),
    ],
)
def test_the_first_word_counts_as_soon_as_no_other_can_come_before_it(
    words: list[str], text: str, settled: bool
) -> None:
    assert Rule(tuple(words)).settled(text) is settled


def test_only_a_first_match_of_plain_words_ends_a_text_early() -> None:
    found = {task.name: deciding_rules(task.task) for task in load_tasks(["micro_two_way", "micro_add_subtract"])}
    assert found == {"micro_two_way": [Rule(("solution1", "solution2"))], "micro_add_subtract": []}


CUT = "{function: custom, filter_fn: !function harness.score.rules.first_responses}, "


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ('{function: regex, regex_pattern: "solution1|solution2"}, ', ("solution1", "solution2")),
        ("{function: custom, filter_fn: !function harness.score.rules.last_numbers}, ", ()),
    ],
)
def test_what_follows_a_further_response_is_not_waited_for(
    others: str, words: tuple[str, ...], own_tasks: str
) -> None:
    task = Path(own_tasks) / "mine.yaml"
    task.write_text(task.read_text().replace("filter: [", f"filter: [{CUT}{others}{{function: take_first}}] #"))
    (loaded,) = load_tasks(["mine"], own_tasks)
    (rule,) = deciding_rules(loaded.task)
    assert rule == Rule(words, ("### Response:",))
    assert rule.settled("7 is a number\n### Response:") and not rule.settled("7 is a number\n### Response")


def test_a_reply_that_reasons_first_is_never_ended_early() -> None:
    (loaded,) = load_tasks(["micro_two_way"])
    look_only_after(loaded.task, "answer is")
    assert deciding_rules(loaded.task) == []


def test_the_record_says_how_many_texts_ended_early(
    make_run: Callable[..., RunSpec],
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    scored: Callable[..., tuple[TaskResult, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (whole,) = scored(make_run(store_outputs="all"), model, "mine")
    assert whole.provenance["ended_when_decided"] == 0
    letter = next(character for character in whole.samples[0].output or "" if character.isalnum())
    monkeypatch.setattr("harness.score.scoring.deciding_rules", lambda task: [Rule((letter,))])
    (ended,) = scored(make_run(store_outputs="all"), model, "mine")
    assert ended.provenance["ended_when_decided"] == sum(letter in (one.output or "") for one in whole.samples)
    for short, long in zip(ended.samples, whole.samples, strict=True):
        assert (long.output or "").startswith(short.output or "")
    assert ended.samples[0].output_tokens < whole.samples[0].output_tokens
