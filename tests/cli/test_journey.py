"""From YAML to leaderboard and back: what a user does on the first day."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from .conftest import EXPERIMENT, Project


def test_run_prints_a_leaderboard_of_all_methods(finished: Project) -> None:
    (printed,) = finished.printed
    for name in ("none", "lora", "denselora", "Fill the"):
        assert name in printed


def test_run_again_does_nothing_and_prints_the_same_leaderboard(finished: Project) -> None:
    again = finished.harness("run", "line.yaml")
    assert again.stdout == finished.printed[0]
    assert again.stderr.splitlines() == ["line (paper): 3 reused, 0 to run", "line (paper): 3 reused, 0 done"]


def test_plan_says_that_everything_is_reused(finished: Project) -> None:
    plan = finished.json("plan", "line.yaml", "--json")
    assert [run["action"] for run in plan["runs"]] == ["reuse"] * 3
    assert [run["status"] for run in plan["runs"]] == ["complete"] * 3


def test_status_counts_runs(finished: Project) -> None:
    status = finished.json("status", "--json")
    assert status["counts"] == {"pending": 0, "running": 0, "complete": 3, "failed": 0, "cancelled": 0}
    assert {run["experiment"] for run in status["runs"]} == {"line"}
    assert finished.json("status", "line.yaml", "--json")["counts"]["complete"] == 3


def test_show_tells_a_run_whole(finished: Project) -> None:
    runs = {run["label"]: run["run_id"] for run in finished.json("status", "--json")["runs"]}
    shown = finished.json("show", runs["lora"][:8], "--json")
    assert shown["status"] == "complete"
    assert shown["train"]["tokens"] > 0
    assert shown["train"]["seconds"] > 0
    assert any("loss" in line for line in shown["train"]["loss"])
    assert shown["provenance"]["packages"]["peft"]
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["complete"]
    main = [score for score in shown["scores"] if score["metric"] == "accuracy"]
    assert [score["n"] for score in main] == [5, 5]
    for score in main:
        share = score["value"]
        assert score["stderr"] == pytest.approx(math.sqrt(share * (1 - share) / (score["n"] - 1)))


def test_show_puts_what_was_asked_beside_what_was_answered(finished: Project) -> None:
    run = {run["label"]: run["run_id"] for run in finished.json("status", "--json")["runs"]}["lora"]
    shown = finished.json("show", run, "--samples", "2", "--json")["samples"]
    assert {len(rows) for rows in shown.values()} == {2}
    for row in (row for rows in shown.values() for row in rows):
        assert row["prompt"].count("### Instruction:") == 1
        assert row["target"]
        assert (row["outcome"] == 1) == (row["answer"] == row["target"])

    task = next(iter(shown))
    wrong = finished.json("show", run, "--samples", "--wrong", "--task", task, "--json")["samples"]
    assert list(wrong) == [task]
    assert all(row["outcome"] < 1 for row in wrong[task])
    text = finished.harness("show", run, "--samples", "1", "--task", task).stdout
    assert shown[task][0]["prompt"] in text
    assert f"right: {shown[task][0]['target']}" in text


def test_show_refuses_what_chooses_among_no_samples(finished: Project) -> None:
    run = {run["label"]: run["run_id"] for run in finished.json("status", "--json")["runs"]}["lora"]
    for arguments, words in (
        (("--wrong",), "--wrong and --task choose among --samples"),
        (("--samples", "few"), "'few' is not a whole number"),
        (("--samples", "--task", "micro_true_fals"), "did you mean 'micro_true_false'?"),
    ):
        refused = finished.harness("show", run, *arguments, exits=2)
        assert words in refused.stderr


def test_show_tells_what_was_trained_on_and_how_much_of_the_tests_stands_in_it(finished: Project) -> None:
    runs = {run["label"]: run["run_id"] for run in finished.json("status", "--json")["runs"]}
    shown = finished.json("show", runs["lora"], "--json")
    assert shown["overlap"].keys() == {"micro_true_false", "micro_fill_blank"}
    assert all(counts["items"] == 300 and counts["exact"] == 0 for counts in shown["overlap"].values())
    lengths = shown["provenance"]["training"]["lengths"]
    assert 0 < lengths["p50"] <= lengths["p95"] <= lengths["max"] < 128
    told = finished.harness("show", runs["lora"]).stdout
    assert f"examples: {shown['train']['counts']['used']:,} of 5,000 trained on" in told
    assert f"median {lengths['p50']}, 95 % up to {lengths['p95']}, longest {lengths['max']}; 0.0 % beyond 128" in told
    foot = next(line for line in finished.printed[0].splitlines() if line.startswith("Training/test overlap"))
    assert foot in told


def test_show_names_what_there_is_for_an_unknown_run(finished: Project) -> None:
    assert "harness status lists them" in finished.harness("show", "zzz", exits=2).stderr


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "json"])
def test_report_prints_the_leaderboard_in_every_format(finished: Project, form: str) -> None:
    printed = finished.harness("report", "--leaderboard", "--experiment", "line", "--format", form).stdout
    assert "denselora" in printed
    if form == "json":
        board = json.loads(printed)
        assert {row["label"] for row in board["rows"]} == {"none", "lora", "denselora"}
        assert board["limit"] == 5
        assert board["failed"] == 0


def test_a_table_for_programs_ends_with_its_last_row(finished: Project) -> None:
    printed = finished.harness("report", "--leaderboard", "--format", "csv").stdout
    assert printed.endswith("\n")
    assert len(printed.removesuffix("\n").split("\n")) == 4


def test_status_of_another_experiment_shows_a_shared_run_as_that_calls_it(finished: Project) -> None:
    finished.write(
        "other.yaml", EXPERIMENT.replace("name: line", "name: other").replace("r: 4}", "r: 4, label: mine}")
    )
    rows = finished.json("status", "other.yaml", "--json")["runs"]
    assert [(row["experiment"], row["label"], row["status"]) for row in rows] == [
        ("other", "none", "complete"), ("other", "mine", "complete"), ("other", "mine", "complete"),
    ]  # fmt: skip
    assert finished.json("status", "other.yaml", "--limit", "4", "--json")["counts"]["pending"] == 3


def test_an_empty_file_is_a_database_in_which_nothing_is_recorded(finished: Project) -> None:
    finished.write("empty.db", "")
    assert finished.harness("--db", "empty.db", "status").stdout == "nothing recorded\n"
    assert finished.json("--db", "empty.db", "plan", "line.yaml", "--json")["runs"][0]["status"] == "pending"
    assert "is empty" in finished.harness("--db", "empty.db", "report", "--leaderboard", exits=2).stderr
    assert (finished.folder / "empty.db").read_bytes() == b""


def test_report_writes_a_file_and_changes_no_byte_of_the_database(finished: Project, tmp_path: Path) -> None:
    database = finished.folder / "results.db"
    before = database.read_bytes()
    finished.harness("report", "--leaderboard", "--format", "markdown", "--output", str(tmp_path / "board.md"))
    assert "denselora" in (tmp_path / "board.md").read_text(encoding="utf-8")
    assert database.read_bytes() == before


def test_a_new_method_and_a_new_task_are_all_that_is_done(finished: Project) -> None:
    wider = EXPERIMENT.replace("tasks: [", "tasks: [micro_two_way, ").replace(
        "  - {method: none}\n", "  - {method: none}\n  - {method: dora, r: 4}\n"
    )
    finished.write("wider.yaml", wider)
    plan = {run["label"]: run for run in finished.json("plan", "wider.yaml", "--json")["runs"]}
    actions = {label: run["action"] for label, run in plan.items()}
    assert actions == {"none": "score", "dora": "train", "lora": "score", "denselora": "score"}
    assert "is kept" in plan["lora"]["reason"]
    done = finished.json("run", "wider.yaml", "--executor", "in-process", "--json")
    assert {run["outcome"] for run in done["runs"]} == {"complete"}
    shown = finished.json("show", plan["lora"]["run_id"], "--json")
    assert len({score["task"] for score in shown["scores"]}) == 3
    assert len(shown["attempts"]) == 2


def test_an_experiment_that_shares_runs_prints_its_own_board_alone(finished: Project) -> None:
    finished.write("pair.yaml", EXPERIMENT.replace("name: line", "name: pair").replace(", micro_fill_blank", ""))
    done = finished.harness("run", "pair.yaml")
    assert "pair (paper): 3 reused, 0 to run" in done.stderr
    assert [line for line in done.stdout.splitlines() if "·" in line] == ["pair · micro-llama"]
