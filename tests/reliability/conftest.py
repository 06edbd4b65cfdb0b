"""A project whose command is interrupted at an edge, and what an undisturbed one has recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .recorded import counts, recorded

HERE = Path(__file__).parent
EXPERIMENT = """\
name: edges
base: {model: micro-llama}
data: {train: micro, limit: 24}
train: {steps: 5, eval_steps: 2, checkpoint: last, batch_size: 4, learning_rate: 1.0e-2, max_length: 64}
score: {limit: 2, batch_size: 2}
adapters: [%s]
tasks: [micro_true_false, micro_fill_blank]
"""
ONE = "{method: lora, r: 2}"
TWO = f"{ONE}, {{method: denselora, r: 2}}"
PATIENCE = 300
RUN = ("run", "edges.yaml")


@dataclass
class Folder:
    """A project folder, and its command in a process of its own: as users start it, with edges added."""

    path: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Without what is set for other commands; a thread, since the bits hang on how many there are."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
        own = {"OMP_NUM_THREADS": "1", "HARNESS_HOME": str(self.path / "home"), "TQDM_DISABLE": "1"}
        return kept | own | self.settings

    def aim(self, at: str, number: int, whom: str = "worker") -> None:
        """Sends a signal at an edge (`name:number`) of the next command."""
        self.settings |= {"AT": f"{at}:{int(number)}:{whom}", "AT_MARK": str(self.path / "sent")}

    @property
    def sent(self) -> bool:
        """Whether the signal was sent."""
        return (self.path / "sent").exists()

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """The command `harness run` with spawned workers, in a process group of its own."""
        with open(self.path / "said", "w") as said:
            return subprocess.Popen(
                [sys.executable, str(HERE / "command.py"), *RUN, *arguments],
                cwd=self.path, env=self.environment | settings, stdout=said, stderr=said, text=True,
                start_new_session=True,
            )  # fmt: skip

    def run(self, *arguments: str, **settings: str) -> int:
        """The same, to its end."""
        return self.start(*arguments, **settings).wait(PATIENCE)

    @property
    def said(self) -> str:
        return (self.path / "said").read_text(errors="replace")

    def recorded(self) -> dict[str, Any]:
        return recorded(self.path)

    def counts(self) -> dict[str, list[int]]:
        return counts(self.path)


@dataclass
class Warm:
    """Does commands in forks of a process that has imported torch already."""

    process: subprocess.Popen[str]

    def run(self, folder: Folder, *arguments: str) -> int:
        """`harness run --executor in-process` in this folder."""
        order = {
            "folder": str(folder.path),
            "environment": folder.environment,
            "arguments": [*RUN, "--executor", "in-process", *arguments],
        }
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def made(path: Path, adapters: str = ONE) -> Folder:
    path.mkdir(exist_ok=True)
    (path / "edges.yaml").write_text(EXPERIMENT % adapters)
    return Folder(path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return made(tmp_path)


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    command = [sys.executable, str(HERE / "warm.py")]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=Folder(HERE).environment
    )
    yield Warm(process)
    process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="session")
def undisturbed(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The experiment of one run, done without any accident; the file `edges` names all that it passed."""
    return _done(warm, made(tmp_path_factory.mktemp("undisturbed")))


@pytest.fixture(scope="session")
def undisturbed_pair(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The same of two runs."""
    return _done(warm, made(tmp_path_factory.mktemp("undisturbed"), TWO))


def _done(warm: Warm, folder: Folder) -> Folder:
    folder.settings["EDGES"] = str(folder.path / "edges")
    assert warm.run(folder) == 0, folder.said
    return folder
