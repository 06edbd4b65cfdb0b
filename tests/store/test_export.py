"""The database as plain files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pandas
from click.testing import CliRunner

from harness.cli.main import cli
from harness.store.export import export
from harness.store.records import Sample
from harness.store.store import Store

from .records import RUN, TRAINING, completed, result, samples, taken


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_everything_that_is_recorded_comes_out_as_json_lines(store: Store, tmp_path: Path) -> None:
    completed(store, tasks=("boolq", "piqa"))
    folder = tmp_path / "out" / "here"
    done = CliRunner().invoke(cli, ["--db", store.url, "db", "export", str(folder)], catch_exceptions=False)
    found = {path.stem: lines(path) for path in folder.iterdir()}

    assert done.exit_code == 0
    assert {kind: len(records) for kind, records in found.items()} == {
        "runs": 1, "trainings": 1, "increments": 0, "places": 1, "scores": 4, "samples": 4, "attempts": 1,
        "late_results": 0,
    }  # fmt: skip
    assert found["runs"][0]["run_id"] == RUN
    assert found["trainings"][0]["loss"] == list(TRAINING.loss)
    assert [row["output"] for row in found["samples"][:2]] == [sample.output for sample in samples()]
    table = pandas.read_json(folder / "scores.jsonl", lines=True)
    assert sorted(table[table.position == 0].task) == ["boolq", "piqa"]


def test_exporting_again_replaces_whole_files_and_leaves_no_drafts(store: Store, tmp_path: Path) -> None:
    completed(store)
    command = ["--db", store.url, "db", "export", str(tmp_path / "out"), "--json"]
    first = CliRunner().invoke(cli, command, catch_exceptions=False)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    again = CliRunner().invoke(cli, command, catch_exceptions=False)

    assert json.loads(first.stdout) == json.loads(again.stdout)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_an_answer_that_ends_within_a_character_is_exported_as_it_was(store: Store, tmp_path: Path) -> None:
    given = (Sample(0, "h0", 0.0, "\ud83d", 1, "smile: \ud83d"),)
    store.record_task(taken(store), dataclasses.replace(result("boolq"), samples=given))
    export(store, tmp_path / "out")

    (sample,) = lines(tmp_path / "out" / "samples.jsonl")
    assert (sample["answer"], sample["output"]) == ("\ud83d", "smile: \ud83d")
