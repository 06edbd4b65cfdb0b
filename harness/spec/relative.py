"""Paths in an experiment file are relative to the file that names them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.catalog.models import model_names
from harness.spec.served import is_served

LONGEST = 4096
"""Characters that no path reaches; asking the system about thousands of such texts takes seconds."""


def make_absolute(block: dict[str, Any], folder: Path) -> None:
    """Makes the paths in a file's or profile's fields absolute, those in its matrix among them."""
    if isinstance(block.get("tasks_path"), str):
        block["tasks_path"] = _absolute(block["tasks_path"], folder)
    for holder, key in () if is_served(block) else _places(block, "base", "model"):
        holder[key] = _model(holder[key], folder)
    for holder, key in _places(block, "data", "train"):
        holder[key] = _source(holder[key], folder)
    entries = block.get("adapters")
    loading = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    for holder, key in (*((entry, "path") for entry in loading), *_places(block, "adapter", "path")):
        if isinstance(holder, list) or key in holder:
            holder[key] = _directory(holder[key], folder)


def _places(block: dict[str, Any], section: str, name: str) -> Iterator[tuple[Any, Any]]:
    """Where `section.name` is set: the field itself, the matrix's axis, the axes that are zipped."""
    if isinstance(block.get(section), dict) and name in block[section]:
        yield block[section], name
    matrix = block.get("matrix")
    if not isinstance(matrix, dict):
        return
    zipped = matrix.get("zip")
    for axes in (matrix, *(zipped if isinstance(zipped, list) else ())):
        values = axes.get(f"{section}.{name}") if isinstance(axes, dict) else None
        yield from ((values, index) for index in range(len(values) if isinstance(values, list) else 0))


def _model(value: Any, folder: Path) -> Any:
    """A directory's absolute path; catalog names and hub ids stay as they are."""
    return value if value in model_names() else _directory(value, folder)


def _directory(value: Any, folder: Path) -> Any:
    """The absolute path of what is a directory, or can be nothing else."""
    if not isinstance(value, str) or not value:
        return value
    is_path = value.startswith(("./", "../", "~")) or (len(value) < LONGEST and os.path.isdir(folder / value))
    return _absolute(value, folder) if is_path else value


def _source(value: Any, folder: Path) -> Any:
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("mix"), list):
        return {**value, "mix": [_source(part, folder) for part in value["mix"]]}
    if isinstance(value.get("path"), str):
        return {**value, "path": _absolute(value["path"], folder)}
    return value


def _absolute(value: str, folder: Path) -> str:
    return os.path.realpath(folder / os.path.expanduser(value))
