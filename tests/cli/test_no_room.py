"""A disk that fills up, a database that can't be written: told plainly, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.store.store import open_store

from .conftest import EXPERIMENT, Project

LONG = EXPERIMENT.replace("steps: 4", "steps: 40, eval_steps: 4").replace("{method: none}", "{method: lora, r: 2}")
PATIENCE = 600
RECORDED = Path(__file__).parents[1] / "store" / "assets" / "0003.db"
Disk = Callable[[str, str], Path]


@pytest.fixture
def disk(project: Project) -> Iterator[Disk]:
    """Mounts a small disk of its own as a folder of the project."""
    mounted: list[Path] = []

    def mount(name: str, size: str) -> Path:
        folder = project.folder / name
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
        if done.returncode:
            pytest.skip("a disk can't be mounted here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Leaves no byte free."""
    ballast = folder / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for size in (2**16, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
    return ballast


def begun(project: Project, *arguments: str) -> subprocess.Popen[str]:
    """The command, once its first training has written a checkpoint."""
    process = subprocess.Popen(
        project.command(*arguments), cwd=project.folder, env=project.environment() | {"HARNESS_HOME": "home"},
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not list(project.folder.glob("home/work/*/checkpoint-*/COMPLETE")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


def again(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        project.command(*arguments), cwd=project.folder, env=project.environment() | {"HARNESS_HOME": "home"},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def statuses(database: Path) -> list[str]:
    with sqlite3.connect(database) as connection:
        return [status for (status,) in connection.execute("SELECT status FROM runs ORDER BY id")]


@pytest.mark.slow
def test_a_disk_that_fills_while_checkpoints_are_written_stops_the_command_and_it_goes_on_with_room(
    project: Project, disk: Disk
) -> None:
    home = disk("home", "60m")
    project.write("line.yaml", LONG)
    process = begun(project, "run", "line.yaml")
    ballast = fill(home)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 3
    assert "the disk is full; make room" in said and "Traceback" not in said
    assert "Once that is mended, the same command goes on" in said
    assert set(statuses(project.folder / "results.db")) == {"pending"}
    ballast.unlink()
    done = again(project, "run", "line.yaml")
    assert done.returncode == 0, done.stderr
    assert statuses(project.folder / "results.db") == ["complete"] * 3


@pytest.mark.slow
def test_a_disk_that_fills_under_the_database_loses_nothing_that_is_recorded(project: Project, disk: Disk) -> None:
    folder = disk("db", "4m")
    project.write("line.yaml", LONG)
    process = begun(project, "--db", "sqlite:///db/results.db", "run", "line.yaml")
    ballast = fill(folder)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode in (2, 3)
    assert "database or disk is full" in said and "Traceback" not in said
    ballast.unlink()
    with sqlite3.connect(folder / "results.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    done = again(project, "--db", "sqlite:///db/results.db", "run", "line.yaml")
    assert done.returncode == 0, done.stderr
    assert statuses(folder / "results.db") == ["complete"] * 3


def test_too_small_a_disk_is_told_before_any_training(project: Project, disk: Disk) -> None:
    disk("home", "100k")
    done = again(project, "run", "line.yaml")
    assert done.returncode == 2
    assert "line.yaml:5 train: checkpoints and adapters need about " in done.stderr
    assert " are free; make room or point $HARNESS_HOME elsewhere" in done.stderr


@pytest.mark.slow
def test_a_database_on_a_read_only_disk_is_refused_and_left_alone(project: Project, disk: Disk) -> None:
    folder = disk("db", "4m")
    project.harness("--db", "sqlite:///db/results.db", "run", "line.yaml", "--only", "none")
    before = (folder / "results.db").read_bytes()
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    done = project.harness("--db", "sqlite:///db/results.db", "run", "line.yaml", exits=2)
    assert "read" in done.stderr and "db/results.db" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (folder / "results.db").read_bytes() == before
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
    project.harness("--db", "sqlite:///db/results.db", "run", "line.yaml", "--only", "lora")


def test_a_database_on_a_read_only_disk_can_be_read_and_is_called_so_by_what_writes(disk: Disk) -> None:
    folder = disk("db", "4m")
    url = f"sqlite:///{shutil.copy(RECORDED, folder)}"
    with open_store(url) as store:  # which leaves it in WAL mode
        counts = store.counts()
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    with open_store(url, read_only=True) as store:
        assert store.counts() == counts
    with pytest.raises(StoreError, match=f"is read-only: {folder} can't be written to"), open_store(url) as store:
        store.counts()


@pytest.mark.slow
def test_a_database_that_another_process_holds_is_waited_for_and_then_named(project: Project) -> None:
    project.harness("run", "line.yaml", "--only", "none")
    holder = sqlite3.connect(project.folder / "results.db", isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    done = project.harness("run", "line.yaml", exits=2)
    assert "another process holds it" in done.stderr
    holder.close()
    assert os.path.getsize(project.folder / "results.db")
    project.harness("run", "line.yaml")
    assert statuses(project.folder / "results.db") == ["complete"] * 3
