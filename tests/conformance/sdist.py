"""PEFT's own tests, taken from its source distribution."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath


class SdistUnavailable(Exception):
    """The package index has no source distribution of this version, or can't be reached."""


def peft_tests(version: str, cache: Path) -> Path:
    """Returns the folder that holds PEFT's package `tests`, which is downloaded if `cache` lacks it.

    Raises:
        SdistUnavailable: pip could not get it; the message ends with pip's.
    """
    root = cache / f"peft-{version}"
    if not root.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            unpacked = Path(scratch) / "unpacked"
            _unpack(_download(version, Path(scratch)), unpacked)
            # Renamed when complete, so that an interrupted download leaves nothing behind that looks whole.
            os.replace(unpacked, root)
    return root


def _download(version: str, folder: Path) -> Path:
    # The metadata is built with this environment's setuptools; pip would download another.
    options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), f"peft=={version}"]
    pip = subprocess.run(command, capture_output=True, text=True)
    archives = list(folder.glob("*.tar.gz"))
    if pip.returncode or not archives:
        raise SdistUnavailable(f"pip can't download the sdist of peft {version}: {pip.stderr.strip()[-500:]}")
    return archives[0]


def _unpack(archive: Path, root: Path) -> None:
    package = root / "tests"
    package.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if member.isfile() and path.parent == PurePosixPath("tests"):
                (package / path.name).write_bytes(tar.extractfile(member).read())
    # The sdist leaves out what makes the folder a package, and without settings of its own pytest would take ours.
    (package / "__init__.py").touch()
    (root / "pytest.ini").write_text("[pytest]\n")
