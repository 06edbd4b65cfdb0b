"""Reading a built-in task's test file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.catalog.files import locate, sha256_of
from harness.errors import PrerequisiteError

if TYPE_CHECKING:
    from datasets import DatasetDict


def checked_file(file: str, sha256: str | None = None) -> Path:
    """Where a task's test file lies, its content being the catalogued one.

    Raises PrerequisiteError where the file is missing or another.
    """
    path = locate(file)
    if not path.is_file():
        raise PrerequisiteError(f"{path} is not there")
    if sha256 and sha256_of(path) != sha256:
        raise PrerequisiteError(
            f"{path} is not the file that this task is defined over (its SHA-256 is {sha256_of(path)}, not {sha256}); "
            f"put the original there, or score your own file with a task of your own (tasks_path)"
        )
    return path


def load(file: str, sha256: str | None = None, **metadata: Any) -> DatasetDict:
    """lm-eval `custom_dataset`: the rows of a JSON file as they stand, in the split `test`.

    Raises PrerequisiteError for a file that is missing, another, or no list of rows.
    """
    from datasets import Dataset, DatasetDict

    return DatasetDict({"test": Dataset.from_list(_rows(checked_file(file, sha256)))})


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PrerequisiteError(f"{path} is no JSON, or not all of it is there: {error}") from None
    if not isinstance(rows, list):
        raise PrerequisiteError(f"{path} must hold a JSON list of rows, got a {type(rows).__name__}")
    for index, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise PrerequisiteError(f"{path}, row {index}: must be a mapping, got {row!r}")
    return rows
