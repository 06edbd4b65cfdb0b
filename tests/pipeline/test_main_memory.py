"""How much memory a process may use: the machine's, or what its container or batch job leaves it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from harness.pipeline import main_memory
from harness.pipeline.estimate.room import Room
from harness.schedule.devices import Devices

MIB = 2**20
GIB = 2**30


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the control groups' files lie, and `own`, which tells the process's groups."""
    monkeypatch.setattr(main_memory, "MOUNT", tmp_path)
    monkeypatch.setattr(main_memory, "OWN", tmp_path / "own")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return tmp_path


def put(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_of_", ".")).write_text(f"{content}\n", encoding="ascii")


def test_a_container_s_limit_is_what_there_is(control: Path) -> None:
    put(control, own="0::/", memory_of_max=GIB, memory_of_current=300 * MIB)
    put(control, memory_of_stat=f"anon {200 * MIB}\ninactive_file {100 * MIB}")
    assert main_memory.total() == Devices.here().memory == GIB
    assert main_memory.available() == Room.here([]).free == GIB - 200 * MIB


def test_a_batch_job_s_limit_counts_where_the_group_above_has_it(control: Path) -> None:
    put(control, own="0::/slurm/job_1/step_0")
    put(control / "slurm" / "job_1", memory_of_max=2 * GIB, memory_of_current=GIB)
    put(control / "slurm" / "job_1" / "step_0", memory_of_max="max", memory_of_current=GIB)
    assert main_memory.total() == 2 * GIB
    assert main_memory.available() == GIB


def test_the_first_version_of_control_groups_is_read_too(control: Path) -> None:
    put(control, own="9:cpuset:/\n4:cpu,memory:/docker/7f\n0::/")
    put(control / "memory", **{"memory_of_limit_in_bytes": GIB, "memory_of_usage_in_bytes": 3 * GIB})
    assert main_memory.total() == GIB
    assert main_memory.available() == 0


def test_without_a_limit_it_is_the_machine_s(control: Path) -> None:
    put(control, own="0::/", memory_of_max="max")
    assert main_memory.total() == psutil.virtual_memory().total
    assert 0 < main_memory.available() < main_memory.total()
    (control / "own").unlink()
    assert main_memory.total() == psutil.virtual_memory().total
