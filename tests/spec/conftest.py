"""An experiment in a folder of its own, written as a user writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import SpecError
from harness.spec.experiment import ExperimentSpec
from harness.spec.load import load_experiment

SMALLEST: dict[str, Any] = {
    "name": "small",
    "base": {"model": "micro-llama"},
    "data": {"train": "micro"},
    "adapters": [{"method": "lora"}],
    "tasks": "micro",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: empty, with no profile chosen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_PROFILE", raising=False)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[[str, str], Path]:
    """Writes a file by its name."""

    def to_file(name: str, text: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


@pytest.fixture
def experiment(write: Callable[[str, str], Path]) -> Callable[..., ExperimentSpec]:
    """The smallest experiment with some fields changed, loaded."""

    def load(*changes: str, profile: str | None = None, **fields: Any) -> ExperimentSpec:
        write("small.yaml", yaml.safe_dump(SMALLEST | fields, sort_keys=False))
        return load_experiment("small.yaml", profile, changes)

    return load


@pytest.fixture
def problems(experiment: Callable[..., ExperimentSpec]) -> Callable[..., dict[str, str]]:
    """What is wrong with the smallest experiment with some fields changed: messages by field."""

    def found(*changes: str, **fields: Any) -> dict[str, str]:
        with pytest.raises(SpecError) as error:
            experiment(*changes, **fields)
        return {problem.field: problem.message for problem in error.value.problems}

    return found
