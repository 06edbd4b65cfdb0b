"""Where methods are found, and what becomes of files that are broken."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from harness.adapters import catalogue
from harness.adapters.catalogue import find_methods
from harness.errors import NotFoundError, SpecError

MINE = "method: {name}\ntitle: {title}\nconfig_class: peft:LoraConfig\n"


@pytest.fixture
def write(folder):
    def to_file(place, name, title):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / f"{name}.yaml").write_text(MINE.format(name=name, title=title))

    return to_file


@pytest.fixture
def package(write, folder, monkeypatch):
    """An installed package that brings methods through the entry point."""

    def install(*names):
        for name in names:
            write("plugin_methods", name, "from a package")
        (folder / "plugin_methods" / "__init__.py").touch()
        entry = EntryPoint("plugin", "plugin_methods", catalogue.GROUP)
        monkeypatch.setattr(catalogue, "entry_points", lambda group: [entry])
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, "plugin_methods", raising=False)

    return install


def test_the_first_file_found_wins(write, package, folder):
    write("extra", "a", "from --adapters")
    for name in "ab":
        write("adapters", name, "from here")
    package("a", "b", "c", "lora")

    found = find_methods(folder / "extra")

    titles = [found.method(name).title for name in ("a", "b", "c", "lora", "dora")]
    assert titles == ["from --adapters", "from here", "from a package", "from a package", "DoRA"]


def test_a_folder_that_is_not_there_is_told(folder):
    with pytest.raises(NotFoundError, match=r"--adapters: .*gone is no directory"):
        find_methods(folder / "gone")


def test_an_unknown_method_is_answered_with_the_nearest():
    with pytest.raises(NotFoundError, match="unknown method 'denslora', did you mean 'denselora'"):
        find_methods().method("denslora")


def test_a_broken_file_is_told_when_it_is_named_and_only_then(write, folder):
    write("adapters", "good", "good")
    (folder / "adapters" / "lora.yaml").write_text("method: lora\nconfig_class: nonsense\n")
    (folder / "adapters" / "odd.yaml").write_text("method: strange\n")
    (folder / "adapters" / "torn.yaml").write_text("method: [\n")

    found = find_methods()

    assert found.method("good").title == "good"
    for name, where in (
        ("lora", "adapters/lora.yaml:2"),
        ("strange", "adapters/odd.yaml:1"),
        ("torn", "adapters/torn"),
    ):
        with pytest.raises(SpecError, match=where):
            found.method(name)


def test_a_broken_file_found_later_hides_nothing(write, folder):
    write("extra", "mine", "good")
    (folder / "adapters").mkdir()
    (folder / "adapters" / "mine.yaml").write_text("method: mine\n")

    assert find_methods(folder / "extra").method("mine").title == "good"


def test_a_package_that_can_not_be_imported_stops_nobody(monkeypatch):
    entry = EntryPoint("plugin", "no_such_package", catalogue.GROUP)
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [entry])

    found = find_methods()

    assert found.method("lora").title == "LoRA"
    assert "no_such_package can't be read" in str(found.broken["plugin"][0])
