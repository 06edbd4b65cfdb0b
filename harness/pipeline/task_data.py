"""Whether a task's test file holds what its items need, without lm-eval."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from harness.catalog.data import DataFile
from harness.catalog.files import EMBEDDED, locate
from harness.errors import PrerequisiteError

COLUMNS = ("instruction", "answer")
"""What an item of a built-in task must have."""


def check_test_file(file: DataFile, built_in: bool) -> None:
    """Raises PrerequisiteError for a JSON file without items or, in a built-in task, with one that lacks a column.

    Files whose content the catalog fixes, and those that come with the package, are known to be whole.
    """
    if file.sha256 or file.file.startswith(EMBEDDED) or not file.file.endswith(".json"):
        return
    path = locate(file.file)
    stat = path.stat()
    if fault := _fault(path, COLUMNS if built_in else (), stat.st_size, stat.st_mtime_ns):
        raise PrerequisiteError(fault)


@lru_cache
def _fault(path: Path, columns: tuple[str, ...], size: int, mtime_ns: int) -> str | None:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return f"{path} is no JSON array of items: {error}"
    if not isinstance(rows, list) or not rows:
        return f"{path} holds no items"
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            return f"{path} row {number}: must be a mapping of columns, got {type(row).__name__}"
        missing = [column for column in columns if row.get(column) is None]
        if missing:
            there = ", ".join(map(str, row)) or "none"
            return f"{path} row {number}: no {', '.join(missing)}; the columns are {there}"
    return None
