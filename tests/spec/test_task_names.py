"""Which tasks an experiment means."""

from __future__ import annotations

import pytest

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
    monkeypatch.setattr("harness.spec.task_names.lm_eval_names", frozenset)
    found = problems(**fields)
    assert message in found[field]
    assert len(found) == 1


def test_a_broken_task_file_is_told(problems, write):
    write("mine/bad.yaml", "task: [\n")
    assert "holds a file that is no YAML" in problems(tasks=["micro_two_way"], tasks_path="mine")["tasks_path"]


def test_lm_evals_own_tasks_are_known_without_importing_it():
    assert {"hellaswag", "arc_easy", "mmlu"} <= lm_eval_names()
