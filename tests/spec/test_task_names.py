"""Which tasks an experiment means."""

from __future__ import annotations

import pytest

from harness.errors import SpecError
from harness.spec.task_names import lm_eval_names


def test_a_benchmark_stands_for_its_tasks(experiment):
    found = experiment(tasks="commonsense")
    assert (found.benchmark, len(found.tasks)) == ("commonsense", 8)


def test_a_list_is_a_benchmark_named_after_the_experiment(experiment):
    found = experiment(tasks=["micro_two_way", "micro_four_way", "micro_two_way"])
    assert (found.benchmark, found.tasks) == ("small", ("micro_two_way", "micro_four_way"))


def test_own_tasks_are_found_in_the_folder_beside_the_file(experiment, write):
    write("mine/riddles.yaml", "task: riddles\ndoc_to_text: !function riddles.text\n")
    assert experiment(tasks=["riddles"], tasks_path="mine").tasks == ("riddles",)


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"tasks": "micor"}, "tasks", "unknown benchmark 'micor', did you mean 'micro'?"),
        ({"tasks": "micro_two_way"}, "tasks", "unknown benchmark 'micro_two_way', did you mean '[micro_two_way]'?"),
        ({"tasks": ["micro_two_wya"]}, "tasks[0]", "unknown task 'micro_two_wya', did you mean 'micro_two_way'?"),
        ({"tasks": ["micro_two_way", 3]}, "tasks[1]", "must be a text, got 3"),
        ({"tasks": 5}, "tasks", "must be a benchmark, or a list of task names, got 5"),
        ({"tasks_path": "gone"}, "tasks_path", "is no directory"),
    ],
)
def test_what_is_no_task(problems, monkeypatch, fields, field, message):
    monkeypatch.setattr("harness.spec.task_names.lm_eval_names", dict)
    found = problems(**fields)
    assert message in found[field]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"task: a\ngroup: [\n", "bad.yaml:3: not valid YAML: expected the node content"),
        (b"task: \xff\n", "bad.yaml:1: can't be read: is not UTF-8 text"),
        (b"task: \x00\n", "bad.yaml: can't be read: unacceptable character #x0000"),
    ],
)
def test_a_broken_task_file_is_told_with_its_name(experiment, folder, content, message):
    (folder / "mine").mkdir()
    (folder / "mine" / "bad.yaml").write_bytes(content)
    with pytest.raises(SpecError) as error:
        experiment(tasks=["micro_two_way"], tasks_path="mine")
    assert f"{folder}/mine/{message}" in str(error.value)


def test_two_files_that_name_the_same_task_are_told(experiment, write, folder):
    write("mine/a.yaml", "task: riddles\n")
    write("mine/b/c.yaml", "task: riddles\n")
    with pytest.raises(SpecError) as error:
        experiment(tasks=["riddles"], tasks_path="mine")
    assert f"{folder}/mine/b/c.yaml task: 'riddles' is the task of {folder}/mine/a.yaml, too" in str(error.value)


def test_a_task_file_with_odd_metadata_is_a_task_without_data_to_check(experiment, write):
    write("mine/odd.yaml", "task: odd\nmetadata: [1]\n")
    write("mine/odder.yaml", "task: odder\nmetadata: {file: [1]}\n")
    assert experiment(tasks=["odd", "odder"], tasks_path="mine").tasks == ("odd", "odder")


def test_lm_evals_own_tasks_are_known_without_importing_it():
    known = lm_eval_names()
    assert {known[name] for name in ("hellaswag", "arc_easy", "piqa")} == {"task"}
    assert known["mmlu_anatomy"] == "task", "its file puts the key into quotes"
    assert known["aclue_poetry_appreciate"] == "task"
    assert known["tmmluplus_education_(profession_level)"] == "task"


@pytest.mark.slow
def test_every_task_and_group_of_lm_evals_is_known():
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    known = lm_eval_names()
    assert {known.get(name) for name in manager.all_subtasks} == {"task"}
    assert set(manager.all_groups) <= known.keys()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mmlu", "'mmlu' is a group of lm-eval's: list its tasks"),
        ("micro", "'micro' is a benchmark: write `tasks: micro`"),
        ("qqqq/qqqq", "none of 14,"),
    ],
)
def test_what_stands_for_several_tasks_is_no_task(problems, name, message):
    assert message in problems(tasks=[name])["tasks[0]"]
