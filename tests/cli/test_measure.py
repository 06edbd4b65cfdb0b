"""`harness measure`: increments of adapters that are kept, for runs that were not measured when they were trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import EXPERIMENT, Project

pytestmark = pytest.mark.slow


def rows(project: Project, name: str) -> list[dict[str, object]]:
    return project.json("report", "--increments", "--experiment", name, "--format", "json")["rows"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two projects in one: `line` was not measured, `asked`, the same runs in another database, was."""
    project = Project(tmp_path_factory.mktemp("measured"))
    project.write("line.yaml", EXPERIMENT)
    project.write("asked.yaml", EXPERIMENT.replace("name: line", "name: asked\nmeasure: [increments]"))
    project.harness("run", "line.yaml")
    project.harness("--db", "asked.db", "run", "asked.yaml")
    return project


def test_a_run_that_reuses_what_was_not_measured_says_so(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("line.yaml", EXPERIMENT)
    project.write("asked.yaml", EXPERIMENT.replace("name: line", "name: asked\nmeasure: [increments]"))
    project.harness("run", "line.yaml", "--only", "lora")
    told = "harness measure --experiment asked does it where the adapter is kept"

    assert "not measured" not in project.harness("run", "line.yaml", "--only", "lora").stderr
    again = project.harness("run", "asked.yaml", "--only", "lora").stderr
    assert f"not measured: the increments of 1 training that was recorded before; {told}" in again
    project.harness("measure", "--experiment", "asked")
    assert "not measured" not in project.harness("run", "asked.yaml", "--only", "lora").stderr


def test_a_kept_adapter_gives_what_its_training_would_have_recorded(trained: Project) -> None:
    told = trained.harness("report", "--increments", exits=2).stderr
    assert "no increments are recorded; harness measure does it for adapters that are kept" in told

    done = trained.json("measure", "--experiment", "line", "--json")["runs"]
    asked = trained.json("--db", "asked.db", "report", "--increments", "--format", "json")
    assert [each["reason"] for each in done] == [None, None]
    assert rows(trained, "line") == asked["rows"]
    assert asked["comparisons"][0]["equal"] == "rank"
    assert trained.json("measure", "--experiment", "line", "--json") == {"runs": []}


def test_what_can_not_be_measured_is_named_with_its_reason(trained: Project) -> None:
    runs = {run["method"]: run for run in trained.json("plan", "line.yaml", "--json")["runs"]}
    bare = trained.harness("measure", runs["none"]["run_id"], exits=1)
    assert bare.stderr.strip() == f"{runs['none']['run_id']}: no adapter was trained"

    shutil.rmtree(trained.folder / ".harness" / "adapters" / runs["lora"]["train_id"])
    gone = trained.harness("measure", runs["lora"]["run_id"][:8], exits=1)
    assert "its weights are not kept in" in gone.stderr and "measure: [increments]" in gone.stderr


def test_unknown_names_and_no_names_are_told(trained: Project) -> None:
    assert "did you mean 'line'?" in trained.harness("measure", "--experiment", "lime", exits=2).stderr
    assert "no run 'zz' in" in trained.harness("measure", "zz", exits=2).stderr
    for arguments in ((), ("abc", "--experiment", "line")):
        assert "name RUN_IDs, or an --experiment" in trained.harness("measure", *arguments, exits=2).stderr
