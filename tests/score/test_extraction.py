"""The micro tasks against LLM-Adapters' rules, stated here once more and independently."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.catalog import files

from .scripted import Row, answers


def extract_answer(pattern: str, sentence: str) -> str:
    """LLM-Adapters, commonsense_evaluate.py: the first match."""
    found = re.findall(pattern, sentence.strip())
    return found[0] if found else ""


def extract_answer_number(sentence: str) -> float:
    """LLM-Adapters, evaluate.py: the last number."""
    found = re.findall(r"-?\d+\.?\d*", sentence.replace(",", ""))
    return float(found[-1]) if found else float("inf")


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
