"""A warning where SQLite is not safe."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.store.network import file_system, network_warning


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Puts file systems into the mount table: `/` is ext4, the others lie below a test's folder."""

    def mount(*kinds: tuple[str, str]) -> Path:
        table = [SimpleNamespace(mountpoint="/", fstype="ext4")]
        table += [SimpleNamespace(mountpoint=str(tmp_path / name), fstype=kind) for name, kind in kinds]
        monkeypatch.setattr(psutil, "disk_partitions", lambda all: table)
        return tmp_path.resolve()

    return mount


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "lustre", "9p", "fuse.s3fs"])
def test_a_database_on_a_network_file_system_is_warned_of_with_what_to_do(mounted, kind: str) -> None:
    folder = mounted(("home", kind))

    warning = network_warning(f"sqlite:///{folder}/home/me/results.db")
    assert warning is not None
    name = kind.removeprefix("fuse.")
    assert warning.startswith(f"{folder}/home/me/results.db lies on a network file system ({name})")
    assert "local disk" in warning and "postgresql://" in warning


def test_a_local_disk_and_a_server_are_not_warned_of(mounted) -> None:
    folder = mounted(("home", "nfs"), ("home/local", "xfs"), ("hometown", "btrfs"))

    for name in ("results.db", "home/local/results.db", "hometown/results.db"):
        assert network_warning(f"sqlite:///{folder}/{name}") is None
    assert network_warning("postgresql://server/results") is None


def test_what_is_mounted_last_counts(mounted) -> None:
    folder = mounted(("home", "autofs"), ("home", "nfs"))

    assert file_system(folder / "home" / "results.db") == "nfs"


def test_a_link_is_followed(mounted) -> None:
    folder = mounted(("far", "nfs"))
    (folder / "far").mkdir()
    (folder / "near.db").symlink_to(folder / "far" / "results.db")

    assert network_warning(f"sqlite:///{folder}/near.db") is not None


def test_run_says_so_before_it_begins(mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = mounted(("far", "nfs"))
    spec = folder / "x.yaml"
    spec.write_text(
        "name: x\nbase: {model: micro-llama}\ndata: {train: micro}\nadapters: [{method: lora}]\ntasks: micro"
    )
    monkeypatch.setattr("harness.schedule.run.run", lambda *_, **__: sys.exit(9))

    done = CliRunner().invoke(cli, ["--db", f"sqlite:///{folder}/far/results.db", "run", str(spec)])
    assert done.exit_code == 9
    assert done.stderr.startswith(f"warning: {folder}/far/results.db lies on a network file system (nfs)")


def test_the_mount_table_of_this_machine_names_the_kind_that_holds_a_file(tmp_path: Path) -> None:
    assert file_system(tmp_path)
    assert file_system(Path("/proc/1")) == "proc"
