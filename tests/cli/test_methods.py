"""Methods from YAML files, shipped ones and a user's own, all the way to a score."""

from __future__ import annotations

import json

import pytest

from .conftest import EXPERIMENT, Project

HRA = """\
method: mine
title: HRA
config_class: peft:HRAConfig
params:
  r: {default: 8, min: 1}
  targets: QKVUD
config:
  r: ${r}
  target_modules: ${targets}
"""


def with_adapters(*entries: str) -> str:
    head, _, _ = EXPERIMENT.partition("adapters:\n")
    return head + "adapters:\n" + "".join(f"  - {entry}\n" for entry in entries) + "tasks: [micro_true_false]\n"


@pytest.mark.slow
def test_a_users_own_method_runs_without_code(project: Project) -> None:
    project.write("adapters/mine.yaml", HRA)
    project.write("line.yaml", with_adapters("{method: mine, r: 4}"))
    assert "mine" in project.harness("adapters", "list").stdout
    board = project.json("run", "line.yaml", "--json")["leaderboard"]
    assert [row["method"] for row in board["rows"]] == ["mine"]
    assert board["rows"][0]["trainable_params"] > 0


def test_methods_are_listed_by_family_with_what_they_are(project: Project) -> None:
    project.write("adapters/mine.yaml", HRA + "mergeable: true\npaper: {title: A paper, arxiv: '2405.17484'}\n")
    lines = project.harness("adapters", "list").stdout.splitlines()
    low_rank, shared, other = (lines.index(f"[{name}]") for name in ("low-rank", "shared", "other"))
    assert any(line.split()[0] == "lora" for line in lines[low_rank:shared])
    assert lines[other + 1].split() == ["mine", "HRA", "2024", "arXiv", "2405.17484", "merges", "r=8", "targets=QKVUD"]


def test_a_method_is_explained(project: Project) -> None:
    more = "summary: Reflects the weight.\n"
    more += "paper: {title: A paper, arxiv: '2405.17484', venue: NeurIPS 2024, year: 2024}\n"
    more += "mergeable: true\nlimits: {resumes: it keeps a state of its own}\ntrain: {learning_rate: 0.01}\n"
    more += "optimizer: {class: 'a.b:make', args: {ratio: '${r}'}}\nnotes: Ours.\n"
    project.write("adapters/mine.yaml", HRA + more)
    assert project.harness("adapters", "show", "mine").stdout.splitlines() == [
        "HRA (adapters/mine.yaml)",
        "Reflects the weight.",
        "A paper, NeurIPS 2024, arXiv 2405.17484",
        "class: peft:HRAConfig",
        "merges: yes",
        "  r        8      whole number from 1",
        "  targets  QKVUD  text",
        "optimizer: a.b:make (ratio=${r})",
        "train.learning_rate: 0.01",
        "limit: resumes: it keeps a state of its own",
        "Ours.",
    ]


def test_methods_of_a_folder_named_on_the_command_line_come_first(project: Project) -> None:
    project.write("own/lora.yaml", HRA.replace("method: mine", "method: lora"))
    shown = project.json("--adapters", "own", "adapters", "show", "lora", "--json")
    assert shown["config_class"] == "peft:HRAConfig"


@pytest.mark.slow
def test_every_shipped_method_trains_and_scores(project: Project) -> None:
    entries = [f"{{method: {name}, r: 4}}" for name in ("lora", "dora", "vera", "adalora", "denselora")]
    mixed = "{mixed: [{method: lora, r: 4, targets: QKV}, {method: denselora, r: 4, targets: UD}], label: mixed}"
    project.write("line.yaml", with_adapters("{method: none}", "{method: full}", mixed, *entries))
    board = project.json("run", "line.yaml", "--json")["leaderboard"]
    assert len(board["rows"]) == 8
    assert all(row["average"] is not None for row in board["rows"])
    by_label = {row["label"]: row for row in board["rows"]}
    assert by_label["none"]["trainable_params"] == 0
    assert by_label["full"]["trainable_percent"] == pytest.approx(100.0)


def test_a_diverged_run_fails_alone_and_is_counted_at_the_foot(project: Project) -> None:
    project.write(
        "line.yaml", with_adapters("{method: lora, r: 4, train: {learning_rate: 1.0e+30}}", "{method: dora, r: 4}")
    )
    done = project.harness("--quiet", "run", "line.yaml", "--executor", "in-process", "--json", exits=1)
    board = json.loads(done.stdout)["leaderboard"]
    assert [row["method"] for row in board["rows"]] == ["dora"]
    assert board["failed"] == 1
    failed = [run for run in project.json("status", "--json")["runs"] if run["status"] == "failed"]
    assert len(failed) == 1
    assert failed[0]["error"]
    assert done.stderr == f"{failed[0]['run_id']} failed (diverged): {failed[0]['error']}\n"
