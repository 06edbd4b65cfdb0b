"""A file that one process at a time holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.catalog.held_file import held

HOLDER = """\
import sys
from pathlib import Path
from harness.catalog.held_file import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that holds the file until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_it_is_waited_for_and_had_once_the_other_ends(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    waited = []

    def waiting() -> None:
        waited.append(holder.poll())
        if len(waited) == 2:
            holder.kill()

    with held(tmp_path / "lock", waiting):
        assert waited[:2] == [None, None]
    assert not (tmp_path / "lock").exists()


def test_what_waiting_raises_ends_it(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    def waiting() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError), held(tmp_path / "lock", waiting):
        pass
    assert holder.poll() is None
