"""`harness init`: what it writes runs as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft7Validator

from harness.cli.main import cli
from harness.errors import PrerequisiteError
from harness.located import read_yaml


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: empty, with no variable of the harness set."""
    monkeypatch.chdir(tmp_path)
    for name in ("HARNESS_DB", "HARNESS_HOME", "HARNESS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def harness(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_a_new_user_gets_from_nothing_to_a_leaderboard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = harness("init", "my study")
    assert done.stdout.splitlines() == [
        "wrote my study/first.yaml",
        "wrote my study/adapters/mine.yaml",
        "next: cd 'my study' && harness run first.yaml --profile quick",
    ]
    monkeypatch.chdir(folder / "my study")
    assert harness("validate", "first.yaml").exit_code == 0
    small = ("--set", "train.steps=1", "--set", "tasks=[micro_true_false]", "--limit", "1", "--only", "mine")
    done = harness("run", "first.yaml", "--profile", "quick", "--executor", "in-process", *small)
    assert done.exit_code == 0, done.stderr
    assert "mine" in done.stdout


def test_editors_know_the_files_by_the_schemas_beside_them(folder: Path) -> None:
    harness("init")
    for name in ("first.yaml", "adapters/mine.yaml"):
        path = folder / name
        (line,) = [line for line in path.read_text().splitlines() if "yaml-language-server: $schema=" in line]
        schema = json.loads((path.parent / line.partition("$schema=")[2]).read_text())
        assert list(Draft7Validator(schema).iter_errors(read_yaml(path).data)) == []


@pytest.mark.parametrize("name", ["first.yaml", "adapters/mine.yaml"])
def test_no_file_is_overwritten(folder: Path, name: str) -> None:
    (folder / "adapters").mkdir()
    (folder / name).write_text("mine")
    done = harness("init")
    assert isinstance(done.exception, PrerequisiteError)
    assert str(done.exception).startswith(f"{name}: there already; harness init DIR")
    assert [path.name for path in folder.rglob("*") if path.is_file()] == [Path(name).name]
    assert (folder / name).read_text() == "mine"


def test_a_place_that_can_not_be_written() -> None:
    assert str(harness("init", "/proc/study").exception).startswith("/proc/study can't be written: ")
