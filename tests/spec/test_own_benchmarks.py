"""A user's own benchmarks: a YAML file beside their task files."""

from __future__ import annotations

import pytest

RIDDLES = "task: riddles\nmetadata: {suite: mine}\n"
MINE = """\
mine:
  title: my own
  tasks: {riddles: 2, micro_two_way: 1}
"""


@pytest.fixture(autouse=True)
def _without_lm_eval(monkeypatch):
    monkeypatch.setattr("harness.spec.task_names.lm_eval_names", lambda: {"boolq": "task", "mmlu": "group"})


@pytest.fixture
def mine(write, experiment):
    """An experiment that asks for `mine`, with a text for the file."""

    def load(text, tasks="mine"):
        write("mine/riddles.yaml", RIDDLES)
        write("mine/benchmarks.yaml", text)
        return experiment(tasks=tasks, tasks_path="mine")

    return load


@pytest.fixture
def mistakes(write, problems):
    """What is wrong with a benchmarks file: messages by field."""

    def found(text, tasks="mine"):
        write("mine/riddles.yaml", RIDDLES)
        write("mine/benchmarks.yaml", text)
        return problems(tasks=tasks, tasks_path="mine")

    return found


def test_weights_title_and_suites_are_the_users(mine):
    found = mine(MINE)
    assert (found.benchmark, found.tasks) == ("mine", ("riddles", "micro_two_way"))
    assert found.asked.to_json() == {
        "title": "my own",
        "weights": {"riddles": 2, "micro_two_way": 1},
        "suites": {"riddles": "mine", "micro_two_way": "micro"},
    }


@pytest.mark.parametrize("tasks", ["[riddles, boolq]", "{riddles: 3, boolq: 3.0}"])
def test_tasks_of_one_weight_have_none(mine, tasks):
    found = mine(f"mine: {{tasks: {tasks}}}")
    assert found.tasks == ("riddles", "boolq")
    assert found.asked.to_json()["weights"] == {}
    assert found.asked.to_json()["title"] == "mine"


def test_the_runs_are_the_same_ones_as_without_weights(mine):
    from harness.spec.grid import expand

    weighted, plain = mine(MINE), mine("mine: {tasks: [riddles, micro_two_way]}")
    assert [run.run_id for run in expand(weighted)] == [run.run_id for run in expand(plain)]


def test_a_built_in_benchmark_can_still_be_named(mine):
    assert mine(MINE, tasks="micro").asked.benchmark.title.startswith("micro")


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("mine: 3", "mine", "must be a mapping of title and tasks, got 3"),
        ("mine: {titel: x, tasks: [riddles]}", "mine.titel", "unknown field, did you mean 'title'?"),
        ("mine: {title: [x], tasks: [riddles]}", "mine.title", "must be a text, got ['x']"),
        ("mine: {title: x}", "mine.tasks", "must be a list of task names, or a mapping of them to weights, got None"),
        ("mine: {tasks: []}", "mine.tasks", "must be a list of task names"),
        ("mine: {tasks: [riddles, 3]}", "mine.tasks[1]", "must be a text, got 3"),
        ("mine: {tasks: [riddles, ridles]}", "mine.tasks[1]", "unknown task 'ridles', did you mean 'riddles'?"),
        ("mine: {tasks: [riddles, mmlu]}", "mine.tasks[1]", "'mmlu' is a group of lm-eval's: list its tasks"),
        ("mine: {tasks: {riddles: 0}}", "mine.tasks.riddles", "must be a weight above 0 and at most 1,000,000, got 0"),
        ("mine: {tasks: {riddles: -1}}", "mine.tasks.riddles", "must be a weight above 0"),
        ("mine: {tasks: {riddles: .inf}}", "mine.tasks.riddles", "must be a weight above 0"),
        ("mine: {tasks: {riddles: .nan}}", "mine.tasks.riddles", "must be a weight above 0"),
        ("mine: {tasks: {riddles: true}}", "mine.tasks.riddles", "must be a weight above 0"),
        ("mine: {tasks: {riddles: much}}", "mine.tasks.riddles", "must be a weight above 0"),
        ("mine: {tasks: {boolk: 1}}", "mine.tasks.boolk", "unknown task 'boolk', did you mean 'boolq'?"),
        ("micro: {tasks: [riddles]}", "micro", "'micro' is a benchmark of the harness; choose another name"),
        ("my own: {tasks: [riddles]}", "my own", "must be a name of letters, digits"),
    ],
)
def test_what_is_no_benchmark_is_told_with_its_line(mistakes, text, field, message):
    assert message in mistakes(text, tasks=["riddles"])[field]


def test_an_own_benchmark_is_offered_where_it_is_misspelt(mistakes):
    assert "did you mean 'mine'?" in mistakes(MINE, tasks="mien")["tasks"]
    assert mistakes(MINE, tasks=["mine"])["tasks[0]"] == "'mine' is a benchmark: write `tasks: mine`"


def test_a_file_that_is_no_yaml_is_told(mistakes):
    assert "not valid YAML" in mistakes("mine: {tasks: [", tasks=["micro_two_way"])[""]


def test_a_task_may_not_take_a_built_in_ones_name(write, problems):
    write("mine/boolq.yaml", "task: llm_adapters_boolq\n")
    found = problems(tasks=["llm_adapters_boolq"], tasks_path="mine")
    assert found["task"] == "'llm_adapters_boolq' is a task of the harness; choose another name"
