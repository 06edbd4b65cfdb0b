"""What is known of GPUs without torch: from a `nvidia-smi` that says what a real one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.pipeline.estimate.room import Room
from harness.pipeline.gpus import Gpu, gpus

MIB = 2**20
NVIDIA_SMI = """#!/bin/sh
[ "$1" = "--query-gpu=index,uuid,name,memory.total,memory.free" ] || exit 1
echo "0, GPU-aa11, NVIDIA A100-SXM4-80GB, 81920, 70000"
echo "1, GPU-bb22, NVIDIA A100-SXM4-40GB, 40960, 30000"
echo "2, GPU-cc33, NVIDIA GB10, [N/A], [N/A]"
"""


@pytest.fixture(autouse=True)
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "nvidia-smi"
    path.write_text(NVIDIA_SMI, encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def test_gpus_are_found_by_index_and_by_the_beginning_of_their_id() -> None:
    large = Gpu("NVIDIA A100-SXM4-80GB", 81920 * MIB, 70000 * MIB)
    small = Gpu("NVIDIA A100-SXM4-40GB", 40960 * MIB, 30000 * MIB)
    assert gpus(["0", "GPU-bb", "GPU-cc33", "7"]) == (large, small, Gpu("NVIDIA GB10", None, None), None)


def test_the_room_is_that_of_the_visible_gpu_with_the_least_free_memory() -> None:
    assert Room.here(["0", "1"]) == Room("NVIDIA A100-SXM4-40GB", 30000 * MIB)
    assert Room.here(["GPU-aa"]) == Room("NVIDIA A100-SXM4-80GB", 70000 * MIB)


def test_a_gpu_that_tells_nothing_leaves_its_room_unknown() -> None:
    assert Room.here(["2"]) == Room("cuda", None)
