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
    """lm-eval `custom_dataset`: the rows of a JSON file as they stand, in the split `test`."""
    from datasets import Dataset, DatasetDict

    rows = json.loads(checked_file(file, sha256).read_text(encoding="utf-8"))
    return DatasetDict({"test": Dataset.from_list(rows)})
