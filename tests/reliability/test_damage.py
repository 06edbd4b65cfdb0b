"""Damaged files are recognised: the one before is used, or the message says what to do. Nothing recorded is lost."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.store.store import open_store

from .conftest import Folder, Warm
from .test_edges import assert_as_undisturbed


def changed(checkpoint: Path) -> None:
    """A byte in the middle is another one; the file is as long as before."""
    file = checkpoint / "optimizer.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def shortened(checkpoint: Path) -> None:
    file = checkpoint / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def torn(checkpoint: Path) -> None:
    """As a file that was renamed before its content reached the disk."""
    (checkpoint / "COMPLETE").write_bytes(b"")


@pytest.mark.parametrize(
    "damage", [changed, *(pytest.param(each, marks=pytest.mark.slow) for each in (shortened, torn))]
)
def test_instead_of_a_damaged_checkpoint_the_one_before_is_used(
    warm: Warm, folder: Folder, undisturbed: Folder, damage: Callable[[Path], None]
) -> None:
    folder.aim("step:5", signal.SIGKILL)
    warm.run(folder)
    (work,) = (folder.path / "home" / "work").iterdir()
    assert sorted(each.name for each in work.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    damage(work / "checkpoint-4")

    assert warm.run(folder) == 0, folder.said
    assert_as_undisturbed(folder, undisturbed)
    with open_store(f"sqlite:///{folder.path / 'results.db'}", read_only=True) as store:
        (run,) = store.runs()
    assert run.training is not None
    assert run.training.provenance["resumed_from"] == 2


@pytest.mark.slow
def test_a_kept_adapter_that_was_cut_short_is_named_and_trained_again_once_it_is_removed(
    warm: Warm, folder: Folder, undisturbed: Folder
) -> None:
    folder.aim("task recorded:1", signal.SIGKILL)
    warm.run(folder)
    (adapter,) = (folder.path / "home" / "adapters").iterdir()
    shortened(adapter)

    assert warm.run(folder) == 3, folder.said
    assert f"{adapter} can't be read" in folder.said
    assert "remove that folder, and the same command trains it again" in folder.said
    assert "Traceback" not in folder.said
    with sqlite3.connect(folder.path / "results.db") as connection:
        assert connection.execute("SELECT count(*) FROM scorings").fetchone() == (1,), "what is recorded stays"
    shutil.rmtree(adapter)
    assert warm.run(folder) == 0, folder.said
    assert_as_undisturbed(folder, undisturbed)
