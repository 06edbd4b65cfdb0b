"""The shipped task files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from harness.score.task_index import TASKS

FILES = sorted(TASKS.glob("*/*.yaml"))
ADAPTERS = [path for path in FILES if path.parent.name == "llm_adapters"]
ARITHMETIC = {"gsm8k", "aqua", "addsub", "svamp", "mawps", "multiarith", "singleeq"}
KEYS = {"version", "suite", "title", "file"}


def own(path: Path) -> dict[str, Any]:
    """What stands in the file itself, includes unread."""
    return load_yaml(path, resolve_func=False, recursive=False)


def test_there_are_llm_adapters_fifteen_tasks_and_five_micro_tasks_in_two_forms() -> None:
    assert Counter(path.parent.name for path in FILES) == {"llm_adapters": 15, "micro": 5, "micro_likelihood": 5}


def test_a_worked_solution_may_be_long_and_a_choice_is_short() -> None:
    lengths = {path.stem: load_yaml(path)["generation_kwargs"]["max_gen_toks"] for path in ADAPTERS}
    assert {name for name, length in lengths.items() if length == 256} == ARITHMETIC
    assert {length for name, length in lengths.items() if name not in ARITHMETIC} == {32}


def test_no_item_of_another_file_passes_for_a_tasks_own() -> None:
    assert {path.stem for path in ADAPTERS if not own(path)["metadata"]["sha256"]} == {"hellaswag"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_task_file_says_what_it_is(path: Path) -> None:
    content = own(path)
    metadata = content["metadata"]
    suite = path.parent.name
    assert content["task"] == f"{suite}_{path.stem}"
    assert set(metadata) == (KEYS | {"sha256"} if suite == "llm_adapters" else KEYS)
    assert metadata["suite"] == suite
    assert isinstance(metadata["version"], float)
    assert metadata["title"] and metadata["file"].endswith("/test.json")
    assert metadata["file"].startswith("embedded:micro/data/") == (suite != "llm_adapters")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_function_is_there_and_accuracy_comes_first(path: Path) -> None:
    content = load_yaml(path)
    assert callable(content["custom_dataset"]) and callable(content["process_results"])
    assert content["metric_list"][0]["metric"] == "accuracy"
    assert content["num_fewshot"] == 0


def test_names_and_titles_are_unique() -> None:
    contents = [own(path) for path in FILES]
    assert len({content["task"] for content in contents}) == len(FILES)
    assert len({(content["metadata"]["suite"], content["metadata"]["title"]) for content in contents}) == len(FILES)


def test_lm_eval_finds_all_of_them_by_itself() -> None:
    index = TaskManager(include_path=TASKS, include_defaults=False)
    assert index.all_subtasks == sorted(own(path)["task"] for path in FILES)


def test_both_forms_of_a_micro_task_ask_the_same_items() -> None:
    files = {path.parent.name: {} for path in FILES}
    for path in FILES:
        files[path.parent.name][path.stem] = own(path)["metadata"]["file"]
    assert files["micro"] == files["micro_likelihood"]
