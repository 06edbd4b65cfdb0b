"""Multiple-choice rows asked again in other words."""

from __future__ import annotations

import os
import re
from collections import Counter

import pytest

from harness.catalog.data import data_set, wordings
from harness.errors import PrerequisiteError, RunError
from harness.spec.resolve import resolve_data
from harness.spec.run import WordingRef
from harness.spec.schema import DataSpec
from harness.train.examples import read
from harness.train.wording import reword

ROW = {
    "instruction": (
        "Please choose the correct answer to the question: A magnet sticks to\n\n"
        "Answer1: wood Answer2: iron Answer3: glass\n\nAnswer format: answer1/answer2/answer3"
    ),
    "input": "",
    "output": "the correct answer is answer2",
}


def wording(name: str) -> WordingRef:
    return WordingRef(instruction=wordings()[name].instruction, answer=wordings()[name].answer)


def test_the_right_answer_is_asked_beside_a_wrong_one_in_piqas_words():
    new = reword(ROW, wording("piqa"), 1)
    asked = re.fullmatch(
        r"Please choose the correct solution to the question: A magnet sticks to\n\n"
        r"Solution1: (\w+)\n\nSolution2: (\w+)\n\nAnswer format: solution1/solution2",
        new["instruction"],
    )
    place = int(new["output"].removeprefix("the correct answer is solution"))
    assert asked[place] == "iron"
    assert asked[3 - place] in ("wood", "glass")


def test_the_right_answer_is_asked_beside_a_wrong_one_in_winograndes_words():
    new = reword(ROW, wording("winogrande"), 1)
    asked = re.fullmatch(
        r"Please choose the correct answer to fill in the blank to complete the given sentence: A magnet sticks to _"
        r"\n\nOption1: (\w+) Option2: (\w+) Answer format: option1/option2",
        new["instruction"],
    )
    assert asked[int(new["output"].removeprefix("the correct answer is option"))] == "iron"


def test_the_draw_is_the_same_each_time_and_fair_over_rows():
    drawn = [reword(ROW, wording("piqa"), number) for number in range(2000)]
    assert drawn == [reword(ROW, wording("piqa"), number) for number in range(2000)]
    kinds = Counter((row["output"][-1], "wood" in row["instruction"]) for row in drawn)
    assert all(abs(count - 500) < 100 for count in kinds.values())
    assert len(kinds) == 4


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Is it so?\n\nAnswer format: true/false", "output": "the correct answer is true"},
        {**ROW, "output": "the correct answer is answer4"},
        {**ROW, "output": "iron"},
    ],
    ids=["no choices", "no such answer", "no answer"],
)
def test_another_row_is_refused_by_its_number(row):
    with pytest.raises(RunError, match="row 7 is no multiple-choice question"):
        reword(row, wording("piqa"), 7)


def test_the_words_are_part_of_what_a_run_is():
    plain = resolve_data(DataSpec(train="commonsense_4")).sources
    reworded = resolve_data(DataSpec(train="commonsense_4_reworded")).sources
    assert reworded[: len(plain)] == plain
    assert [source.wording.answer for source in reworded[len(plain) :]] == ["solution", "solution", "option"]


@pytest.mark.skipif("HARNESS_DATA" not in os.environ, reason="needs LLM-Adapters' data under $HARNESS_DATA")
def test_every_question_of_the_real_training_sets_can_be_asked_again():
    try:
        for file in data_set("commonsense_4_reworded").files:
            file.check()
    except PrerequisiteError as absent:
        pytest.skip(str(absent))
    examples = read(resolve_data(DataSpec(train="commonsense_4_reworded")))
    outputs = Counter(example.output for example in examples)
    assert len(examples) == 26_081
    assert outputs["the correct answer is solution1"] + outputs["the correct answer is solution2"] == 2_251 + 1_119
    assert outputs["the correct answer is option1"] + outputs["the correct answer is option2"] == 4_957
