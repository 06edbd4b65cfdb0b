"""A test file that is not what a task needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import PrerequisiteError
from harness.score.testset import load


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"instruction": "1 + 1?", "ans', "test.json is no JSON, or not all of it is there: Unterminated string"),
        (b"", "test.json is no JSON, or not all of it is there"),
        (b"\xff\xfe", "test.json is no JSON, or not all of it is there"),
        (b'{"instruction": "?"}', "test.json must hold a JSON list of rows, got a dict"),
        (b'[{"instruction": "?"}, "b"]', "test.json, row 2: must be a mapping, got 'b'"),
    ],
)
def test_a_file_that_holds_no_rows_is_told_with_its_name(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "test.json").write_bytes(content)
    with pytest.raises(PrerequisiteError) as error:
        load(str(tmp_path / "test.json"))
    assert message in str(error.value)


def test_the_rows_are_those_of_the_file(tmp_path: Path) -> None:
    rows = [{"instruction": "1 + 1?", "answer": "2"}, {"instruction": "2 + 2?", "answer": "4"}]
    (tmp_path / "test.json").write_text(json.dumps(rows))
    assert list(load(str(tmp_path / "test.json"))["test"]) == rows
