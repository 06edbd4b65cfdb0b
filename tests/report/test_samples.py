"""`harness show --samples`: what was asked, where that can still be told."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from click.testing import CliRunner

from harness.cli.main import cli
from harness.spec.identity import identified

from .database import Asked, Database, asked

RIDDLES = """\
task: riddles
dataset_path: json
dataset_kwargs: {data_files: {test: RIDDLES}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: answer
"""


def with_tasks(folder: Path) -> Asked:
    run = asked()
    score = run.spec.score.model_copy(update={"tasks_path": str(folder)})
    return dataclasses.replace(run, spec=identified(run.spec.model_copy(update={"score": score})))


def test_samples_whose_data_can_no_longer_be_read_are_shown_with_the_reason(
    database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "riddles.yaml").write_text(RIDDLES.replace("RIDDLES", str(folder / "riddles.json")))
    (folder / "riddles.json").write_text("no JSON at all")
    run = with_tasks(folder)
    database.register(run, tasks=["riddles"])
    database.answer(run, {"riddles": [1, 0]})
    command = ["--db", database.url, "show", run.spec.run_id, "--samples", "--json"]
    found = json.loads(CliRunner().invoke(cli, command, catch_exceptions=False).stdout)["samples"]["riddles"]

    assert [(row["outcome"], row["prompt"], row["target"]) for row in found] == [(1.0, None, None), (0.0, None, None)]
    assert "riddles: its data can't be read" in found[0]["missing"]
