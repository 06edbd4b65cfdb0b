"""Which test items stand in the training data: real leaks, planted ones, and none where only the wording is shared."""

from __future__ import annotations

import json
import os
import random
import re
import time
from pathlib import Path

import pytest

from harness.train.overlap import measure

ROOT = next(
    (
        folder
        for root in [*os.environ.get("HARNESS_DATA", "").split(os.pathsep), Path(__file__).parents[3] / "shared/data"]
        for folder in [Path(root), Path(root) / "llm_adapters"]
        if root and (folder / "math_data.json").is_file()
    ),
    None,
)
LEAKED = {"AddSub": (316, 395), "SVAMP": (800, 1000), "gsm8k": (1055, 1319), "AQuA": (203, 254)}
POND = "On the north bank of the old mill pond a grey heron stood waiting for an unwary little frog."
BARN = "Behind the barn, twelve hens scratch for grain while one tired farmer counts his eggs twice every day."


def counts(trained: list[str], *items: str) -> tuple[int, int, int]:
    found = measure(trained, {"task": items})["task"]
    assert found["items"] == len(items)
    return found["exact"], found["normalised"], found["ngram"]


def shares_13_words(item: str, trained: list[str]) -> bool:
    """The definition, by brute force."""

    def spoken(text: str) -> str:
        return f" {' '.join(re.sub(r'[^a-z0-9]+', ' ', text.lower()).split())} "

    words = spoken(item).split()
    runs = [f" {' '.join(words[start : start + 13])} " for start in range(len(words) - 12)]
    texts = [spoken(text) for text in trained]
    return any(run in text for run in runs for text in texts)


@pytest.mark.skipif(ROOT is None, reason="needs LLM-Adapters' math_data.json under $HARNESS_DATA")
def test_the_four_fifths_of_four_test_sets_in_math_data_are_found() -> None:
    def asked(file: str) -> list[str]:
        return [row["instruction"] for row in json.loads((ROOT / file).read_text(encoding="utf-8"))]

    trained = asked("math_data.json")
    tests = {task: asked(f"{task}/test.json") for task in LEAKED}
    found = measure(trained, tests)
    assert {task: (of["exact"], of["items"]) for task, of in found.items()} == LEAKED
    for of in found.values():
        assert of["exact"] <= of["normalised"] <= of["ngram"] <= of["items"]
    sample = random.Random(0).sample(tests["gsm8k"], 15)
    assert measure(trained, {"some": sample})["some"]["ngram"] == sum(
        shares_13_words(text, trained) for text in sample
    )


def test_case_white_space_and_punctuation_hide_nothing_but_an_exact_copy_is_one() -> None:
    assert counts([POND], POND, BARN) == (1, 1, 1)
    assert counts([f"  {POND.upper()}\n".replace(" ", "  ").replace(".", " !")], POND, BARN) == (0, 1, 1)
    assert counts(["STRASSE, links?"], "straße links", "") == (0, 1, 0)


def test_13_words_in_a_row_are_a_near_copy_and_12_are_none() -> None:
    words = POND.split()
    assert counts([f"A story: {' '.join(words[2:15])} - and so on."], POND, BARN) == (0, 0, 1)
    assert counts([f"A story: {' '.join(words[2:14])} - and so on."], POND, BARN) == (0, 0, 0)


def test_words_do_not_run_on_from_one_text_to_the_next() -> None:
    words = POND.split()
    assert counts([" ".join(words[:10]), " ".join(words[10:])], POND) == (0, 0, 0)


def test_an_item_counts_once_however_often_it_was_trained_on_and_each_of_two_equal_items_counts() -> None:
    assert counts([POND] * 3, POND, POND, BARN) == (2, 2, 2)


def test_the_wording_that_all_items_share_is_no_overlap() -> None:
    question = "Please choose the one correct answer to the following question about birds and their lives: {} eat? {}"
    answer = "Answer format, to be followed to the letter: answer1 or answer2 or answer3 or answer4"
    items = [question.format(f"what does bird number {i} of the list", answer) for i in range(30)]
    other = question.format("where do herons go to", answer)
    assert counts([other], *items) == (0, 0, 0)
    assert counts([other, items[3]], *items)[0] == 1


def test_short_items_are_not_judged_by_13_words() -> None:
    found = measure(["is a heron a bird"], {"task": ["Is a heron a bird?", POND]})["task"]
    assert found == {"items": 2, "exact": 0, "normalised": 1, "ngram": 0, "long": 1}


def test_every_task_is_measured_by_itself() -> None:
    found = measure([POND], {"none": [], "one": [POND], "other": [BARN, BARN]})
    assert [of["exact"] for of in found.values()] == [0, 1, 0]
    assert [of["items"] for of in found.values()] == [0, 1, 2]


@pytest.mark.slow
def test_a_large_mixture_against_all_test_sets_takes_seconds() -> None:
    chance = random.Random(0)
    words = [f"w{i}" for i in range(20_000)]

    def text(length: int) -> str:
        return " ".join(chance.choices(words, k=length))

    items = [text(40) for _ in range(22_000)]
    trained = [text(70) for _ in range(170_000)]
    for place in range(500):
        trained[place * 7] += f" {items[place * 3]}"
    started = time.process_time()
    found = measure(iter(trained), {"task": items})["task"]
    assert time.process_time() - started < 20
    assert (found["exact"], found["ngram"]) == (0, 500)
