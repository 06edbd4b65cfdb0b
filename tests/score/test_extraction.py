"""The task YAMLs against LLM-Adapters' rules, stated here once more and independently."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate

from harness.catalog import files
from harness.score.task_index import load_tasks

Row = dict[str, Any]
ROOT = next(
    (
        folder
        for root in [*os.environ.get("HARNESS_DATA", "").split(os.pathsep), Path(__file__).parents[3] / "shared/data"]
        for folder in [Path(root), Path(root) / "llm_adapters"]
        if root and (folder / "boolq" / "test.json").is_file()
    ),
    None,
)
ANSWER = r"answer1|answer2|answer3|answer4|answer5"
PATTERNS = {
    "boolq": ("boolq", r"true|false"),
    "piqa": ("piqa", r"solution1|solution2"),
    "social_i_qa": ("social_i_qa", ANSWER),
    "winogrande": ("winogrande", r"option1|option2"),
    "arc_easy": ("ARC-Easy", ANSWER),
    "arc_challenge": ("ARC-Challenge", ANSWER),
    "openbookqa": ("openbookqa", ANSWER),
}


def extract_answer(pattern: str, sentence: str) -> str:
    """LLM-Adapters, commonsense_evaluate.py: the first match."""
    found = re.findall(pattern, sentence.strip())
    return found[0] if found else ""


def extract_answer_number(sentence: str) -> float:
    """LLM-Adapters, evaluate.py: the last number."""
    found = re.findall(r"-?\d+\.?\d*", sentence.replace(",", ""))
    return float(found[-1]) if found else float("inf")


class Scripted(LM):
    """A model that says what it is told to."""

    def __init__(self, say: Callable[[Row], str]) -> None:
        super().__init__()
        self.say = say

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        return [self.say(request.doc) for request in requests]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        raise NotImplementedError


def answers(task: str, say: Callable[[Row], str]) -> list[tuple[str, float, float]]:
    """What the task extracts from each answer, whether it finds it right, and whether it finds anything."""
    (loaded,) = load_tasks([task])
    found = evaluate(Scripted(say), {"tasks": {task: loaded.task}}, bootstrap_iters=0)
    return [(row["filtered_resps"][0], row["accuracy"], row["extracted"]) for row in found["samples"][task]]


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Path:
    if ROOT is None:
        pytest.skip("LLM-Adapters' test files are not here: point $HARNESS_DATA at them")
    monkeypatch.setenv("HARNESS_DATA", str(ROOT))
    return ROOT


@pytest.mark.parametrize("name", PATTERNS)
def test_agrees_with_llm_adapters_on_every_test_item(name: str, data: Path) -> None:
    folder, pattern = PATTERNS[name]
    rows = json.loads((data / folder / "test.json").read_text())
    told = {row["instruction"]: f"Not {other['answer']}: {row['output']}" for row, other in zip(rows, rows[1:] + rows)}

    found = answers(f"llm_adapters_{name}", lambda doc: told[doc["instruction"]])

    expected = [extract_answer(pattern, told[row["instruction"]]) for row in rows]
    assert [answer for answer, _, _ in found] == expected
    assert [right for _, right, _ in found] == [float(a == row["answer"]) for a, row in zip(expected, rows)]
    assert 0.1 < sum(right for _, right, _ in found) / len(rows) < 0.9


@pytest.mark.parametrize("name", PATTERNS)
def test_the_files_own_answers_are_all_right(name: str, data: Path) -> None:
    assert {(right, extracted) for _, right, extracted in answers(f"llm_adapters_{name}", lambda d: d["output"])} == {
        (1.0, 1.0)
    }


@pytest.fixture
def micro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, list[Row]], None]:
    """Puts rows in place of an embedded test file."""

    def put(name: str, rows: list[Row]) -> None:
        folder = tmp_path / "catalog" / "micro" / "data" / name
        folder.mkdir(parents=True)
        (folder / "test.json").write_text(json.dumps(rows))

    monkeypatch.setattr(files, "PACKAGE", tmp_path)
    return put


def told_rows(told: list[str], answer: str) -> list[Row]:
    return [{"instruction": "?", "input": "", "output": text, "answer": answer, "choices": [answer]} for text in told]


NASTY_TEXTS = {
    "": "",
    "   \n": "",
    "True": "",
    "the correct answer is true": "true",
    "untrue": "true",
    "falsetrue": "false",
    "it is not false but true": "false",
    "tru\ne": "",
    "true" * 50: "true",
    "### Response: false": "false",
}


def test_the_first_word_that_can_be_an_answer_is_the_answer(micro: Callable[[str, list[Row]], None]) -> None:
    micro("true_false", told_rows(list(NASTY_TEXTS), "true"))
    found = answers("micro_true_false", lambda doc: doc["output"])
    assert found == [(answer, float(answer == "true"), float(answer != "")) for answer in NASTY_TEXTS.values()]
    assert [answer for answer, _, _ in found] == [extract_answer("true|false", text) for text in NASTY_TEXTS]


@pytest.mark.parametrize(
    ("task", "text", "answer"),
    [
        ("two_way", "solution3, then solution2 or solution1", "solution2"),
        ("four_way", "answer10", "answer1"),
        ("four_way", "answer5 or answer 4", ""),
        ("fill_blank", "Option1: option2", "option2"),
    ],
)
def test_each_task_knows_its_own_answers(
    task: str, text: str, answer: str, micro: Callable[[str, list[Row]], None]
) -> None:
    micro(task, told_rows([text], "?"))
    assert answers(f"micro_{task}", lambda doc: doc["output"]) == [(answer, 0.0, float(answer != ""))]


NASTY_NUMBERS = [
    *["12", "the correct answer is 12", "12.", "12.0", "$12.00!", "3 + 9 = 12", "12.0009", "11.9991"],
    *["12.002", "-12", "24-12", "1,2", "12,", "twelve", "", ".", "12 apples, 3 left", "1.12.13", "9" * 400],
]


def test_the_last_number_is_the_answer_within_a_thousandth(micro: Callable[[str, list[Row]], None]) -> None:
    micro("add_subtract", told_rows(NASTY_NUMBERS, "12"))
    found = answers("micro_add_subtract", lambda doc: doc["output"])
    expected = [extract_answer_number(text) for text in NASTY_NUMBERS]
    assert [float(answer) if answer else float("inf") for answer, _, _ in found] == expected
    assert [right for _, right, _ in found] == [float(abs(12.0 - number) <= 0.001) for number in expected]
    assert [extracted for _, _, extracted in found] == [float(bool(re.search(r"\d", t))) for t in NASTY_NUMBERS]
