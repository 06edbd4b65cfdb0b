"""Where and with what a run was made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from harness.pipeline import provenance


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository with one commit of the harness's own package and a database."""
    for name in ("pyproject.toml", "results.db"):
        (tmp_path / name).write_text("first\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "-m", "first")
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "harness")
    provenance._git.cache_clear()
    yield tmp_path
    provenance._git.cache_clear()


def git(folder: Path, *command: str) -> str:
    return subprocess.run(["git", "-C", folder, *command], check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_of_a_clean_checkout(repository: Path) -> None:
    assert provenance._git() == {"commit": git(repository, "rev-parse", "HEAD"), "dirty": False}


def test_a_changed_file_makes_it_dirty(repository: Path) -> None:
    (repository / "pyproject.toml").write_text("second\n")

    assert provenance._git() == {"commit": git(repository, "rev-parse", "HEAD"), "dirty": True}


def test_the_results_themselves_do_not_make_it_dirty(repository: Path) -> None:
    (repository / "results.db").write_text("second\n")

    assert provenance._git() == {"commit": git(repository, "rev-parse", "HEAD"), "dirty": False}


def test_an_installed_package_has_the_commit_of_the_current_directory(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "PACKAGE", repository / ".venv" / "site-packages" / "harness")
    monkeypatch.chdir(repository)

    assert provenance._git() == {"commit": git(repository, "rev-parse", "HEAD"), "dirty": False}


def test_outside_of_a_repository_no_commit_is_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "harness")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    provenance._git.cache_clear()

    assert provenance._git() is None
    provenance._git.cache_clear()


def test_without_git_no_commit_is_made_up(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert provenance._git() is None


def test_versions_are_those_of_the_installed_packages_and_only_those() -> None:
    found = provenance._packages()

    assert found["peft-harness"] == version("peft-harness")
    assert "unknown" not in found.values()


def test_the_python_and_the_hardware_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_hardware", lambda: {"cpu": provenance._cpu_name()})

    found = provenance.provenance()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["hardware"]["cpu"]
