"""Whatever a file holds: a message that says where, exit code 2, within two seconds; never a traceback."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from .fuzzing import Outcome, harness, quick_methods
from .nasty import FILES, PROJECT, TEXTS, assignment, mutated, wrong_types

__all__ = ["quick_methods"]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_methods")]


@pytest.fixture(autouse=True)
def _without_planning(monkeypatch):
    """What takes PyTorch is left out: looking for a method's classes, and all that `plan` does after loading."""

    def stop(*arguments):
        raise SystemExit(0)

    monkeypatch.setattr("harness.schedule.points.with_configs", stop)
    monkeypatch.setattr("harness.pipeline.classes.class_problems", lambda method: [])


@pytest.fixture
def project(folder: Path) -> Path:
    """A folder with a valid experiment and everything that it leads to."""
    for name, text in PROJECT.items():
        put(folder / name, text)
    assert harness("validate", "x.yaml").code == 0, "what is to be spoilt must be good"
    return folder


def put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "role", ["x.yaml", "_part.yaml", "adapters/mine.yaml", "own/benchmarks.yaml", "own/riddles.yaml"]
)
def test_a_nasty_text_in_any_role(project, name, role):
    put(project / role, TEXTS[name])
    found = harness("validate", "x.yaml")
    assert found.faults() == [], found.told[-3000:]


@pytest.mark.parametrize("make", FILES.values(), ids=list(FILES))
@pytest.mark.parametrize(
    "role", ["x.yaml", "_part.yaml", "adapters/mine.yaml", "own/benchmarks.yaml", "own/riddles.yaml"]
)
def test_what_is_no_file_that_can_be_read(project, make, role):
    (project / role).unlink()
    make(project / role)
    found = harness("validate", "x.yaml")
    assert found.faults() == [], found.told[-3000:]


@pytest.mark.parametrize(
    "spec", ["/dev/zero", "/proc/self/mem", ".", "", "a\0b.yaml", "a" * 5000, "a" * 5000 + "/x.yaml", "\udcff.yaml"]
)
def test_a_spec_that_is_no_file(folder, spec):
    lists = [] if spec == "." else [["tasks", "list", spec or "x"]]  # which takes a folder, too
    for command in (["validate", spec], ["plan", spec], *lists):
        found = harness(*command)
        assert (found.faults(), found.code) == ([], 2), found.told[-3000:]
    assert harness("validate", "--json", spec).code == 2


SEED = 20_260
WAYS = (
    "x.yaml",
    "x.yaml",
    "_part.yaml",
    "adapters/mine.yaml",
    "adapters/mine.yaml",
    "own/benchmarks.yaml",
    "own/riddles.yaml",
)


def fuzzed(number: int, folder: Path) -> tuple[Outcome, object]:
    """How the command takes the input of this number, and the input."""
    dice = random.Random(SEED * 1_000_003 + number)
    if dice.random() < 0.2:
        text = assignment(dice)
        return harness("plan", "x.yaml", f"--set={text}"), text
    role = dice.choice(WAYS)
    content = dice.choice((mutated, wrong_types))(PROJECT[role], dice)
    put(folder / role, content)
    shown = role.startswith("adapters") and dice.random() < 0.5
    found = harness("--adapters", "adapters", "adapters", "show", "mine") if shown else harness("validate", "x.yaml")
    put(folder / role, PROJECT[role])
    return found, (role, content)


def complaints(numbers: range, folder: Path) -> Iterator[tuple[int, list[str], object, str]]:
    for number in numbers:
        found, given = fuzzed(number, folder)
        if faults := found.faults():
            yield number, faults, given, found.told[-2000:]


@pytest.mark.parametrize("first", range(0, 10_000, 1000))
def test_no_input_is_answered_with_a_traceback(project, first):
    assert list(complaints(range(first, first + 1000), project)) == []
