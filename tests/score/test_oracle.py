"""The shipped tasks against LLM-Adapters' rules, stated here once more: on its test files, and on hard cases."""

from __future__ import annotations

import json
import math
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.score.decided import deciding_rules
from harness.score.task_index import TASKS, load_tasks

from .scripted import Found, Row, answers

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
    "hellaswag": ("hellaswag", r"ending1|ending2|ending3|ending4"),
    "winogrande": ("winogrande", r"option1|option2"),
    "arc_easy": ("ARC-Easy", ANSWER),
    "arc_challenge": ("ARC-Challenge", ANSWER),
    "openbookqa": ("openbookqa", ANSWER),
    "aqua": ("AQuA", r"A|B|C|D|E"),
}
NUMBERS = {
    "gsm8k": "gsm8k",
    "addsub": "AddSub",
    "svamp": "SVAMP",
    "mawps": "mawps",
    "multiarith": "MultiArith",
    "singleeq": "SingleEq",
}
FOLDERS = {name: folder for name, (folder, _) in PATTERNS.items()} | NUMBERS
ITEMS = {
    **{"boolq": 3270, "piqa": 1838, "social_i_qa": 1954, "winogrande": 1267, "arc_easy": 2376, "arc_challenge": 1172},
    **{"openbookqa": 500, "gsm8k": 1319, "aqua": 254, "addsub": 395, "svamp": 1000},
}
GOLD_OUTPUTS_RIGHT = {"gsm8k": 0.585, "aqua": 0.429, "addsub": 0.937, "svamp": 0.803}
"""GPT-3.5 wrote the outputs of these files; all others' are right."""
SAMPLE = 40


def released(name: str, text: str, gold: str) -> Found:
    """LLM-Adapters' evaluate.py and commonsense_evaluate.py on an output: the model's whole text is cut at the
    prompt's last words, then a word (the first match) or a number (the last one) is taken."""
    output = f"Below is an instruction.\n\n### Response:\n{text}".split("### Response:")[1].strip()
    if name in PATTERNS:
        words = re.findall(PATTERNS[name][1], output)
        answer = words[0] if words else ""
        return Found(answer, float(answer == gold), float(bool(words)))
    numbers = re.findall(r"-?\d+\.?\d*", output.replace(",", ""))
    number = float(numbers[-1]) if numbers else math.inf
    answer = numbers[-1] if numbers else ""
    return Found(answer, float(abs(float(gold) - number) <= 0.001), float(bool(numbers)))


@pytest.fixture
def rows_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Row]]:
    """A task's test file, where it is at hand."""

    def rows(name: str) -> list[Row]:
        if ROOT is None or not (ROOT / FOLDERS[name] / "test.json").is_file():
            pytest.skip(f"LLM-Adapters' {FOLDERS[name]}/test.json is not here: point $HARNESS_DATA at its folder")
        monkeypatch.setenv("HARNESS_DATA", str(ROOT))
        return json.loads((ROOT / FOLDERS[name] / "test.json").read_text())

    return rows


def check(name: str, rows: list[Row], items: list[int]) -> None:
    """Items' own outputs, and these with every other one misled, get the outcomes of LLM-Adapters' code."""
    task = f"llm_adapters_{name}"
    assert answers(task, lambda row: row["output"], items) == [
        released(name, rows[item]["output"], rows[item]["answer"]) for item in items
    ]
    others = {row["instruction"]: other["answer"] for row, other in zip(rows, rows[1:] + rows[:1], strict=True)}
    first = name in PATTERNS

    def misled(row: Row) -> str:
        other = others[row["instruction"]] if len(row["instruction"]) % 2 else "sure"
        own = row["output"] or row["answer"]  # MAWPS' file has no outputs
        return f"Not {other}: {own}" if first else f"{own} Or {other}?"

    found = answers(task, misled, items)
    assert found == [released(name, misled(rows[item]), rows[item]["answer"]) for item in items]
    assert 0 < sum(verdict.right for verdict in found) < len(items)


@pytest.mark.parametrize("name", FOLDERS)
def test_some_items_of_every_test_file_get_llm_adapters_verdict(
    name: str, rows_of: Callable[[str], list[Row]]
) -> None:
    rows = rows_of(name)
    check(name, rows, sorted(random.Random(0).sample(range(len(rows)), SAMPLE)))


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_every_item_of_every_test_file_gets_llm_adapters_verdict(
    name: str, rows_of: Callable[[str], list[Row]]
) -> None:
    rows = rows_of(name)
    assert len(rows) == ITEMS.get(name, len(rows))
    check(name, rows, list(range(len(rows))))


@pytest.mark.slow
@pytest.mark.parametrize("name", ITEMS)
def test_the_files_own_outputs_are_as_right_as_they_are_known_to_be(
    name: str, rows_of: Callable[[str], list[Row]]
) -> None:
    rows = rows_of(name)
    found = answers(f"llm_adapters_{name}", lambda row: row["output"])
    share = sum(verdict.right for verdict in found) / len(rows)
    assert share == pytest.approx(GOLD_OUTPUTS_RIGHT.get(name, 1.0), abs=5e-4)


def over_one_item(name: str, folder: Path, text: str, gold: str) -> str:
    """A shipped task over an item of our own, whose output is the text; its tasks_path."""
    (folder / "test.json").write_text(json.dumps([{"instruction": "?", "input": "", "output": text, "answer": gold}]))
    shipped = TASKS / "llm_adapters" / f"{name}.yaml"
    task = f"include: {shipped}\ntask: mine\nmetadata: {{version: 1.0, file: {folder / 'test.json'}}}\n"
    (folder / "mine.yaml").write_text(task)
    return str(folder)


@pytest.fixture
def verdict(tmp_path: Path) -> Callable[[str, str, str], Found]:
    """What a shipped task says to an output."""

    def judged(name: str, text: str, gold: str) -> Found:
        (found,) = answers("mine", lambda row: row["output"], tasks_path=over_one_item(name, tmp_path, text, gold))
        return found

    return judged


NUMBER_CASES = [
    ("The answer is 12.", "12", True),
    ("12.0009", "12", True),
    ("12.002", "12", False),
    ("It fell to -3 degrees", "-3", True),
    ("15-3 ", "-3", True),
    ("15 - 3", "-3", False),
    ("\u22123", "-3", False),
    ("1,234", "1234", True),
    ("$1,234,567.50 in all", "1234567.5", True),
    ("1.234,5", "1.2345", True),
    ("1 234", "1234", False),
    ("either 7 or 8", "7", False),
    ("either 8 or 7", "7", True),
    ("7 apples, which is 70 % of 10", "7", False),
    ("twelve", "12", False),
    ("", "12", False),
    ("...", "12", False),
    ("12 kg", "12", True),
    ("5m2", "5", False),
    ("1.2e3", "1200", False),
    ("1.2e3", "3", True),
    ("1200e-2", "-2", True),
    ("1/2", "0.5", False),
    (".5", "5", True),
    ("5.", "5", True),
    ("1.2.3", "3", True),
    ("007", "7", True),
    ("\u0661\u0662", "12", True),
    ("\uff11\uff12", "12", True),
    ("x\u00b2", "2", False),
    ("9" * 400, "12", False),
    ("12\n\n### Instruction:\nWhat is 3 + 4?", "12", False),
    ("12\n\n### Response:\n13", "12", True),
    ("### Response:\n12", "12", False),
]


@pytest.mark.parametrize(("text", "gold", "right"), NUMBER_CASES)
def test_hard_numbers(text: str, gold: str, right: bool, verdict: Callable[[str, str, str], Found]) -> None:
    found = verdict("gsm8k", text, gold)
    assert found == released("gsm8k", text, gold)
    assert found.right == right


LETTER_CASES = [
    ("The answer is (D).", "D", True),
    ("The Answer is (D).", "A", True),
    ("Because of the rule, (D).", "B", True),
    ("Answer: D", "A", True),
    ("(d)", "D", False),
    ("D or A", "D", True),
    ("DA", "D", True),
    ("F", "A", False),
    ("", "A", False),
    ("1023.65", "E", False),
    ("1.5E3", "E", True),
    ("\u0410", "A", False),
    ("\uff21", "A", False),
    ("### Response: D", "D", False),
    ("so it is D. ### Response: A", "D", True),
]


@pytest.mark.parametrize(("text", "gold", "right"), LETTER_CASES)
def test_hard_letters(text: str, gold: str, right: bool, verdict: Callable[[str, str, str], Found]) -> None:
    found = verdict("aqua", text, gold)
    assert found == released("aqua", text, gold)
    assert found.right == right


WORD_CASES = [
    ("boolq", "untrue", "true", True),
    ("boolq", "True", "true", False),
    ("boolq", "not false but true", "true", False),
    ("piqa", "solution3 solution2 solution1", "solution2", True),
    ("arc_easy", "answer10", "answer1", True),
    ("arc_challenge", "answer 4, so answer5", "answer5", True),
    ("openbookqa", "answer6", "answer1", False),
    ("social_i_qa", "### Response: answer1", "answer1", False),
    ("hellaswag", "ending5 ending4", "ending4", True),
    ("winogrande", "Option1: option2 ### Response: option1", "option2", True),
]


@pytest.mark.parametrize(("name", "text", "gold", "right"), WORD_CASES)
def test_hard_words(name: str, text: str, gold: str, right: bool, verdict: Callable[[str, str, str], Found]) -> None:
    found = verdict(name, text, gold)
    assert found == released(name, text, gold)
    assert found.right == right


@pytest.mark.parametrize("name", PATTERNS)
def test_an_output_that_ends_with_its_first_word_has_the_whole_outputs_answer(name: str, tmp_path: Path) -> None:
    (loaded,) = load_tasks(["mine"], over_one_item(name, tmp_path, "", "?"))
    (first,) = deciding_rules(loaded.task)
    chance = random.Random(0)
    pieces = [*first.words, *(word[:-1] for word in first.words), "### Response:", "### Resp", "onse: ", ", ", "no "]
    ended = 0
    for _ in range(200):
        text = "".join(chance.choices(pieces, k=6))
        end = next((end for end in range(len(text)) if first.settled(text[:end])), len(text))
        assert released(name, text[:end], "?") == released(name, text, "?")
        ended += end < len(text)
    assert ended > 100
