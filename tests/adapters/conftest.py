"""Method files in a folder of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.adapters.method import Method, load_method
from harness.errors import SpecError

MINE = "method: mine\nconfig_class: peft:LoraConfig\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def method(folder: Path) -> Callable[[str], Method]:
    """The method of a file that begins as `MINE`."""

    def load(text: str = "", head: str = MINE) -> Method:
        path = folder / "mine.yaml"
        path.write_text(head + text, encoding="utf-8")
        return load_method(path, "mine.yaml")

    return load


@pytest.fixture
def problems(method: Callable[..., Method]) -> Callable[..., list[str]]:
    """The problems of such a file."""

    def found(text: str = "", head: str = MINE) -> list[str]:
        with pytest.raises(SpecError) as error:
            method(text, head)
        return str(error.value).splitlines()

    return found
