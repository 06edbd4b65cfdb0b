"""Mistakes of the user: no traceback, exit code 2, and what to do."""

from __future__ import annotations

import json

import pytest

from .conftest import EXPERIMENT, Project


def test_every_problem_is_named_at_once_with_its_line(project: Project) -> None:
    project.write(
        "bad.yaml", EXPERIMENT.replace("r: 4}", "r: 0}").replace("lora, r", "lorra, r").replace("steps:", "stepz:")
    )
    problems = project.harness("validate", "bad.yaml", exits=2).stderr.splitlines()
    assert "bad.yaml:5 train.stepz: unknown field, did you mean 'steps'?" in problems
    assert any(
        line.startswith("bad.yaml:9 adapters[1].method: unknown method 'lorra', did you mean 'lora'?")
        for line in problems
    )
    assert "bad.yaml:10 adapters[2].method: unknown method 'denselorra', did you mean 'denselora'?" in problems


def test_validate_prints_problems_as_json(project: Project) -> None:
    project.write("bad.yaml", EXPERIMENT.replace("limit: 5", "limit: 0"))
    done = project.harness("validate", "line.yaml", "bad.yaml", "--json", exits=2)
    document = json.loads(done.stdout)
    assert done.stderr == "bad.yaml:6 score.limit: must be at least 1, got 0\n"
    assert document["valid"] == ["line.yaml"]
    (problem,) = document["problems"]
    assert (problem["file"], problem["line"], problem["field"]) == ("bad.yaml", 6, "score.limit")


def test_validate_looks_at_the_profile_that_the_environment_names(project: Project, monkeypatch) -> None:
    project.write("two.yaml", EXPERIMENT + "profiles: {tiny: {}, broken: {score: {limit: 0}}}\n")
    assert "score.limit" in project.harness("validate", "two.yaml", exits=2).stderr
    environment = project.environment()
    monkeypatch.setattr(Project, "environment", lambda self: environment | {"HARNESS_PROFILE": "tiny"})

    assert project.harness("validate", "two.yaml").stdout == "two.yaml: valid\n"
    unknown = "line.yaml:1 profiles: unknown profile 'tiny', allowed: paper\n"
    assert project.harness("validate", "line.yaml", "two.yaml", exits=2).stderr == unknown
    assert project.harness("plan", "line.yaml", exits=2).stderr == unknown
    assert "score.limit" in project.harness("validate", "two.yaml", "--profile", "broken", exits=2).stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "missing.yaml"), "no such experiment"),
        (("run", "line.yaml", "--profile", "micr"), "unknown profile 'micr'"),
        (("run", "line.yaml", "--set", "train.stepz=3"), "did you mean 'steps'?"),
        (("run", "line.yaml", "--only", "nothing*"), "matches no run"),
        (("run", "line.yaml", "--executor", "cloud"), "is not one of"),
        (("report",), "--leaderboard"),
        (("report", "--leaderboard"), "no such database"),
        (("--db", "sqlite:////nowhere/at/all.db", "run", "line.yaml"), "no folder"),
        (("--db", "nonsense://x", "status"), "can't be used"),
        (("--adapters", "nowhere", "adapters", "list"), "is no directory"),
        (("fly",), "No such command 'fly', allowed: adapters, compare, data, db"),
        (("rnu", "line.yaml"), "No such command 'rnu', did you mean 'run'?"),
        (("status", "--limit", "5"), "are about SPEC: name it"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_do(project: Project, arguments: tuple[str, ...], said: str) -> None:
    assert said in project.harness(*arguments, exits=2).stderr


def test_missing_data_blocks_a_run_before_any_weight_is_loaded(project: Project) -> None:
    project.write("far.yaml", EXPERIMENT.replace("train: micro}", "train: boolq}"))
    (blocked,) = project.harness("run", "far.yaml", exits=2).stderr.splitlines()
    assert blocked.startswith("far.yaml:4 data.train: training data: boolq/train.json is in none of ")
    assert blocked.endswith("put it there or point $HARNESS_DATA at its folder")
    printed = project.harness("plan", "far.yaml").stdout
    actions = {line.split()[1]: line.split()[5] for line in printed.splitlines()[2:5]}
    assert actions == {"none": "score", "lora": "blocked", "denselora": "blocked"}
    assert "line (paper): 0 reused, 1 to run, 2 blocked" in printed.splitlines()
    assert f"missing: {blocked}" in printed.splitlines()


def test_a_home_that_can_not_be_made_blocks_the_run(project: Project) -> None:
    project.write(".harness", "a file where the home should be")
    blocked = project.harness("run", "line.yaml", exits=2).stderr
    assert f"{project.folder}/.harness can't be made: File exists; point $HARNESS_HOME elsewhere" in blocked


def test_a_label_is_shown_as_it_is_written_and_never_wrapped(project: Project) -> None:
    label = "[b]a[/c]" + " and many words more" * 10
    project.write(
        "line.yaml", EXPERIMENT.replace("# Does", "# [/x] Does").replace("r: 4}", f"r: 4, label: '{label}'}}")
    )
    assert f" {label} " in project.harness("plan", "line.yaml").stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("config_class: nowhere:X\n", "adapters/mine.yaml:2 config_class: nowhere:X can't be imported"),
        pytest.param(
            "config_class: collections:OrderedDict\n",
            "adapters/mine.yaml:2 config_class: collections:OrderedDict is no",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_method_whose_class_is_none_is_found_by_validate_and_blocks_the_run(
    project: Project, line: str, said: str
) -> None:
    project.write("adapters/mine.yaml", f"method: mine\n{line}")
    project.write("line.yaml", EXPERIMENT.replace("{method: lora, r: 4}", "{method: mine}"))

    assert project.harness("validate", "line.yaml", exits=2).stderr.startswith(said)
    assert project.harness("run", "line.yaml", exits=2).stderr.splitlines()[-1].startswith("line.yaml:9 adapters[1]: ")


@pytest.mark.slow
def test_plan_counts_the_parameters_of_a_model_that_is_not_there(project: Project) -> None:
    project.write(
        "large.yaml", EXPERIMENT.replace("micro-llama", "llama3-8b").replace("r: 4}", "r: 16, targets: QKVUD}")
    )
    runs = {run["label"]: run for run in project.json("plan", "large.yaml", "--json", "--set", "seeds=[0]")["runs"]}
    assert runs["denselora"]["trainable_params"] == 925_696
    assert runs["lora"]["trainable_params"] == 28_311_552
    assert runs["lora"]["base_params"] == 8_030_261_248


def test_a_method_that_does_not_fit_the_model_blocks_the_run(project: Project) -> None:
    project.write(
        "line.yaml", EXPERIMENT.replace("{method: lora, r: 4}", "{method: lora, r: 4, targets: [nothing_like_it]}")
    )
    assert "nothing_like_it" in project.harness("run", "line.yaml", exits=2).stderr
    assert project.json("status", "--json")["counts"]["complete"] == 0
