"""What a task is, as one hash: the same on every machine, and another one when the task changes.

Read from the YAML and the data file alone, so that a plan can tell without lm-eval whether a recorded score
still answers the task as it is now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.catalog.files import sha256_of
from harness.score.testset import checked_file

BUILT_IN_LOADER = "!function harness.score.testset.load"
NOT_CONTENT = ("title", "suite", "file", "sha256", "config_source")
"""Metadata that only describe a task; the file's content is what counts, not where it lies."""


def task_fingerprint(content: Mapping[str, Any]) -> str:
    """SHA-256 of a task's content (`task_content`) and of its local data files.

    Raises PrerequisiteError where the data file is missing.
    """
    metadata = content.get("metadata") or {}
    meaning = {
        **content,
        "metadata": {key: value for key, value in metadata.items() if key not in NOT_CONTENT},
        "dataset_kwargs": _with_file_hashes(content.get("dataset_kwargs")),
        "data": _test_file_hash(content),
    }
    return hashlib.sha256(json.dumps(meaning, sort_keys=True, default=str).encode()).hexdigest()


def task_content(path: Path) -> dict[str, Any]:
    """A task's YAML with its includes resolved, as lm-eval resolves them.

    A `!function` stands as the name it has in a package, or as the content of the file beside the YAML.
    """
    own = yaml.load(path.read_text(encoding="utf-8"), Loader=_loader(path.parent))  # noqa: S506 - a safe loader
    includes = own.pop("include", [])
    content: dict[str, Any] = {}
    for included in includes if isinstance(includes, list) else [includes]:
        content.update(task_content((path.parent / included).resolve()))
    return {**content, **own}


def _test_file_hash(content: Mapping[str, Any]) -> str | None:
    # A user's own loader may mean something else by `file`.
    if content.get("custom_dataset") != BUILT_IN_LOADER:
        return None
    return sha256_of(checked_file(content["metadata"]["file"]))


def _loader(folder: Path) -> type[yaml.SafeLoader]:
    class Loader(yaml.SafeLoader):
        pass

    def function(loader: yaml.Loader, node: yaml.ScalarNode) -> str:
        module, _, name = str(loader.construct_scalar(node)).rpartition(".")
        beside = folder / f"{module.replace('.', '/')}.py"
        return f"!function {sha256_of(beside) if beside.is_file() else module}.{name}"

    Loader.add_constructor("!function", function)
    return Loader


def _with_file_hashes(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_file_hashes(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_file_hashes(item) for item in value]
    if isinstance(value, str) and Path(value).is_file():
        return sha256_of(Path(value))
    return value
