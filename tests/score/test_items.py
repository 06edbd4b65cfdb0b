"""Test items that can't be asked are found before anything is trained."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from harness.catalog.prompts import render
from harness.errors import RunError
from harness.score.items import Items, examine
from harness.score.task_index import _own_tasks
from harness.spec.run import RunSpec

Look = Callable[..., dict[str, Items]]


@pytest.fixture
def look(make_run: Callable[..., RunSpec], tokenizer: PreTrainedTokenizerFast) -> Look:
    """Examines tasks of the user's."""

    def look(*tasks: str, context: int | None = 512, **settings: Any) -> dict[str, Items]:
        _own_tasks.cache_clear()
        return examine(make_run(**settings), tasks, tokenizer, context)

    return look


def refused(look: Look, *tasks: str, **settings: Any) -> str:
    with pytest.raises(RunError) as it:
        look(*tasks, **settings)
    assert it.value.kind == "data"
    return str(it.value)


def rewrite(folder: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    path = Path(folder) / "test.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def test_every_item_is_there_in_its_own_words(look: Look, echo: str, rows: list[dict[str, Any]]) -> None:
    found = look("mine", "echo", "mine_likelihood", limit=2)
    assert list(found) == ["mine", "echo", "mine_likelihood"]
    assert all(items.texts == tuple(row["instruction"] for row in rows) for items in found.values())
    assert len({items.fingerprint for items in found.values()}) == 3


def test_what_the_task_asks_stands_for_an_item_that_is_no_instruction(look: Look, own_tasks: str) -> None:
    (Path(own_tasks) / "free.yaml").write_text(FREE % ("{{question}} is?", "answer", Path(own_tasks) / "test.json"))
    rewrite(own_tasks, lambda rows: [{"question": "two plus two", "answer": "4"}])
    assert look("free")["free"].texts == ("two plus two is?",)


def test_an_empty_test_set_is_refused(look: Look, own_tasks: str) -> None:
    rewrite(own_tasks, lambda rows: [])
    assert refused(look, "mine") == "mine has no test items"


FREE = """
task: free
custom_dataset: !function harness.score.testset.load
test_split: test
output_type: generate_until
doc_to_text: "%s"
doc_to_target: "%s"
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
metadata: {file: %s}
"""


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("{{question}} is?", "answer", "free: its first item lacks what the task needs: 'question' is undefined"),
        ("question", "answer", "free item 0: no question, which the task needs"),
        ("{{instruction}}", "solution", "free item 0: no solution, which the task needs"),
    ],
)
def test_a_template_without_its_field_is_refused(
    text: str, target: str, message: str, look: Look, own_tasks: str
) -> None:
    (Path(own_tasks) / "free.yaml").write_text(FREE % (text, target, Path(own_tasks) / "test.json"))
    assert refused(look, "free").startswith(message)


def test_a_field_that_only_a_later_item_lacks_is_found(look: Look, own_tasks: str) -> None:
    (Path(own_tasks) / "free.yaml").write_text(
        FREE % ("{{instruction}}", "{{answer}}{{choices[1]}}", Path(own_tasks) / "test.json")
    )
    rewrite(own_tasks, lambda rows: [*rows[:4], {**rows[4], "choices": []}])
    assert "free: an item lacks what the task needs" in refused(look, "free")


@pytest.mark.parametrize("column", ["instruction", "answer"])
def test_an_item_without_a_column_is_named(column: str, look: Look, own_tasks: str) -> None:
    rewrite(own_tasks, lambda rows: [*rows[:4], {**rows[4], column: None}, *rows[5:]])
    assert refused(look, "mine").startswith(f"mine item 4: no {column}, which the task needs")


def test_prompts_beyond_the_context_are_refused_when_they_are_over_5_percent(
    look: Look, own_tasks: str, rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerFast,
    make_run: Callable[..., RunSpec],
) -> None:  # fmt: skip
    template = make_run().prompt.score
    sizes = [len(tokenizer(render(template, row["instruction"]))["input_ids"]) for row in rows]
    answer = 32
    assert look("mine", context=max(sizes) + answer)
    told = refused(look, "mine", context=max(sizes) + answer - 1)
    assert f"{sizes.count(max(sizes))} of 12 prompts are longer than the {max(sizes) - 1} tokens" in told
    assert look("mine_likelihood", context=max(sizes))
    assert look("mine", context=None)
    long = {**rows[0], "instruction": rows[0]["instruction"] * 20}
    rewrite(own_tasks, lambda rows: [*rows, *rows[:7], long])
    assert look("mine", context=max(sizes) + answer)
    rewrite(own_tasks, lambda rows: [*rows[:-2], long, long])
    assert "2 of 20 prompts" in refused(look, "mine", context=max(sizes) + answer)


def test_nothing_is_printed_and_no_random_number_drawn(
    look: Look, capsys: pytest.CaptureFixture[str], echo: str
) -> None:
    before = random.getstate()
    look("mine", "echo")
    assert random.getstate() == before
    assert capsys.readouterr().out == ""
