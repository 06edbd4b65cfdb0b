"""A user's own tasks and benchmark, without code: from their YAML files to the leaderboard."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness import leaderboard, load_experiment, open_store, run
from harness.cli.main import cli
from harness.schedule.options import Options

EXPERIMENT = """\
name: %s
base: {model: micro-llama}
data: {train: micro}
score: {limit: 8}
adapters: [{method: none}]
tasks_path: mine
tasks: %s
"""
SUMS = """\
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}} The number is "
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 8, do_sample: false}
filter_list:
  - name: number
    filter:
      - {function: regex, regex_pattern: "[0-9]+"}
      - {function: take_first}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
metadata: {version: 1.0, suite: %s}
"""
BENCHMARKS = "mine:\n  title: Sums and choices\n  tasks: {sums: 2, micro_likelihood_two_way: 1}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose own tasks and benchmark lie in `mine`, as the current directory."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine").mkdir()
    rows = [{"question": f"{item} apples and no other.", "answer": str(item)} for item in range(12)]
    (folder / "mine" / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "mine" / "benchmarks.yaml").write_text(BENCHMARKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HARNESS_HOME", str(folder / ".harness"))
        patch.delenv("HARNESS_PROFILE", raising=False)
        yield folder


def board_of(folder: Path, name: str, tasks: str, suite: str) -> dict[str, Any]:
    """The board of the bare micro model on these tasks, `sums` being of this suite."""
    (folder / "mine" / "sums.yaml").write_text(SUMS % (folder / "mine" / "sums.jsonl", suite))
    (folder / f"{name}.yaml").write_text(EXPERIMENT % (name, tasks))
    assert run(load_experiment(f"{name}.yaml"), "results.db", Options(executor="in-process")).exit_code == 0
    with open_store("sqlite:///results.db", read_only=True) as store:
        return leaderboard(store, experiment=name).to_json()


def test_an_own_benchmark_is_averaged_by_its_weights(folder: Path) -> None:
    board = board_of(folder, "weighted", "mine", suite="micro_likelihood")
    (row,) = board["rows"]
    sums, choice = row["scores"]["sums"], row["scores"]["micro_likelihood_two_way"]
    assert (board["benchmark"], board["title"]) == ("mine", "Sums and choices")
    assert board["weights"] == {"sums": 2, "micro_likelihood_two_way": 1}
    assert (board["metrics"]["sums"], sums["n"], choice["n"]) == ("exact_match", 8, 8)
    assert sums["value"] != choice["value"]
    assert row["average"]["value"] == pytest.approx((2 * sums["value"] + choice["value"]) / 3)
    assert row["average"]["stderr"] == pytest.approx(math.hypot(2 * sums["stderr"], choice["stderr"]) / 3)


def test_own_tasks_beside_the_harnesss_have_no_average(folder: Path) -> None:
    board = board_of(folder, "both", "[sums, micro_likelihood_two_way]", suite="riddles")
    (row,) = board["rows"]
    assert (set(row["scores"]), row["average"], row["rank"]) == ({"sums", "micro_likelihood_two_way"}, None, None)
    assert "No average: numbers of different suites (riddles, micro_likelihood) do not compare." in board["notes"]


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment whose folder has a benchmark, a task of it, and one of no benchmark; the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_PROFILE", raising=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sums.yaml").write_text(SUMS % ("gone.jsonl", "mine"))
    (tmp_path / "mine" / "riddles.yaml").write_text("task: riddles\noutput_type: multiple_choice\n")
    (tmp_path / "mine" / "benchmarks.yaml").write_text(BENCHMARKS)
    (tmp_path / "listed.yaml").write_text(EXPERIMENT % ("listed", "mine"))
    return tmp_path


@pytest.mark.parametrize("place", ["listed.yaml", "mine"])
def test_own_tasks_and_benchmarks_are_listed_with_suite_weight_and_file(place: str, listed: Path) -> None:
    lines = CliRunner().invoke(cli, ["tasks", "list", place]).stdout.splitlines()
    folder = listed / "mine" if place == "listed.yaml" else Path("mine")
    assert lines[:3] == [
        f"mine: Sums and choices ({folder / 'benchmarks.yaml'})",
        f"  sums (mine, weight 2, {folder / 'sums.yaml'})",
        "  micro_likelihood_two_way (micro_likelihood, weight 1)",
    ]
    assert lines[-2:] == ["in no benchmark:", f"  riddles (own, {folder / 'riddles.yaml'})"]
    assert "  micro_two_way (micro)" in lines

    found = json.loads(CliRunner().invoke(cli, ["tasks", "list", place, "--json"]).stdout)
    (sums,) = [task for task in found["tasks"] if task["task"] == "sums"]
    assert sums == {
        "task": "sums",
        "title": "sums",
        "suite": "mine",
        "version": "1.0",
        "output_type": "generate_until",
        "path": str(folder / "sums.yaml"),
    }
    assert found["benchmarks"][0] == {
        "benchmark": "mine",
        "title": "Sums and choices",
        "tasks": ["sums", "micro_likelihood_two_way"],
        "weights": {"sums": 2.0, "micro_likelihood_two_way": 1.0},
        "suites": {"sums": "mine", "micro_likelihood_two_way": "micro_likelihood"},
        "path": str(folder / "benchmarks.yaml"),
    }


def test_without_a_place_only_the_harnesss_own_are_listed(listed: Path) -> None:
    lines = CliRunner().invoke(cli, ["tasks", "list"]).stdout.splitlines()
    assert lines[0] == "micro: micro (generated, embedded)"
    assert not [line for line in lines if "sums" in line or "riddles" in line]


def test_what_is_wrong_with_own_tasks_is_told_by_the_list(listed: Path) -> None:
    (listed / "mine" / "benchmarks.yaml").write_text("mine:\n  tasks: [riddels]\n")
    done = CliRunner().invoke(cli, ["tasks", "list", "mine"])
    message = "mine/benchmarks.yaml:2 mine.tasks[0]: unknown task 'riddels', did you mean 'riddles'?"
    assert (str(done.exception), done.stdout) == (message, "")
