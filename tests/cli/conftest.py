"""A project folder, and the `harness` command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

EXPERIMENT = """\
# Does the straight line hold?
name: line
base: {model: micro-llama}
data: {train: micro}
train: {steps: 4, learning_rate: 1.0e-3, max_length: 128}
score: {limit: 5, batch_size: 5}
adapters:
  - {method: none}
  - {method: lora, r: 4}
  - {method: denselora, r: 4}
tasks: [micro_true_false, micro_fill_blank]
"""


@dataclass(frozen=True)
class Project:
    """A folder with an experiment, in which commands are run as a user runs them."""

    folder: Path
    printed: list[str] = field(default_factory=list)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "harness", *arguments]

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
        return kept | {"OMP_NUM_THREADS": "1"}

    def harness(self, *arguments: str, exits: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Runs a command; `exits` is the expected exit code."""
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.environment(), capture_output=True, text=True
        )
        assert exits is None or done.returncode == exits, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str, exits: int = 0) -> Any:
        """A command's JSON document, which must be all that it prints on stdout."""
        return json.loads(self.harness(*arguments, exits=exits).stdout)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write("line.yaml", EXPERIMENT)
    return made


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose experiment has been run once."""
    made = Project(tmp_path_factory.mktemp("finished"))
    made.write("line.yaml", EXPERIMENT)
    made.printed.append(made.harness("run", "line.yaml").stdout)
    return made
