"""Killed or stopped at any edge of its stages, a command is finished by the same command, to the same bits."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .conftest import Folder, Warm, made

STAGES = {
    "begun": 1, "claimed": 1, "model loaded": 1, "step": 5, "file of a checkpoint half written": 8,
    "checkpoint to be marked": 2, "checkpoint marked": 2, "adapter written": 1, "adapter saved": 1, "trained": 1,
    "checkpoints to be removed": 1, "checkpoints removed": 1, "scoring to begin": 1, "task scored": 2,
    "task recorded": 2, "to be committed": 10, "committed": 10,
}  # fmt: skip
EDGES = [f"{name}:{number + 1}" for name, count in STAGES.items() for number in range(count)]
BEFORE_ANY_RUN = {"to be committed:1", "to be committed:2", "committed:1", "committed:2"}
"""The experiment is written down."""
QUICK = {"task recorded:2"}
ANY = [pytest.param(edge, marks=() if edge in QUICK else pytest.mark.slow) for edge in EDGES]


def edges_of(folder: Folder) -> list[str]:
    return (folder.path / "edges").read_text().splitlines()


def assert_as_undisturbed(folder: Folder, undisturbed: Folder) -> None:
    """All is recorded, once, with the undisturbed run's values and bits, and nothing else is left."""
    assert folder.recorded() == undisturbed.recorded()
    assert folder.counts() == undisturbed.counts()
    assert {number for found in folder.counts().values() for number in found} == {1}
    assert not list((folder.path / "home" / "work").glob("*"))


def test_these_are_all_edges_that_an_undisturbed_command_passes(undisturbed: Folder) -> None:
    assert sorted(edges_of(undisturbed)) == sorted(EDGES)
    assert [run["status"] for run in undisturbed.recorded().values()] == ["complete"]


def end_at(warm: Warm, path: Path, edge: str, number: signal.Signals, undisturbed: Folder) -> Folder:
    """Ends a command at an edge with the signal, then does the same command."""
    folder = made(path)
    folder.aim(edge, number)
    assert warm.run(folder) == (-number if number == signal.SIGKILL else 3), folder.said
    assert folder.sent
    assert warm.run(folder) == 0, folder.said
    assert_as_undisturbed(folder, undisturbed)
    return folder


@pytest.mark.parametrize("edge", ANY)
def test_a_command_that_is_killed_at_an_edge_is_finished_by_the_same_command(
    warm: Warm, tmp_path: Path, undisturbed: Folder, edge: str
) -> None:
    end_at(warm, tmp_path, edge, signal.SIGKILL, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("edge", [edge for edge in EDGES if edge not in BEFORE_ANY_RUN])
def test_a_command_that_is_told_to_stop_at_an_edge_is_finished_by_the_same_command(
    warm: Warm, tmp_path: Path, undisturbed: Folder, edge: str
) -> None:
    end_at(warm, tmp_path, edge, signal.SIGTERM, undisturbed)
