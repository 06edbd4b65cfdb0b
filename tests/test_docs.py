"""Docs that are executed do not rot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from harness.cli.main import COMMANDS, cli
from harness.cli.methods_page import built_in, counted, page, read_counts
from harness.cli.reference import reference

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def test_the_command_reference_is_what_help_says() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_page_of_methods_is_what_their_files_say() -> None:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert text == page(built_in().methods.values(), read_counts(text)), "run `make docs`"


@pytest.mark.slow
def test_the_page_of_methods_counts_their_parameters_as_they_are() -> None:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert read_counts(text) == counted(built_in()), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_harness_command_in_the_docs_exists(page: Path) -> None:
    named = set(re.findall(r"^harness ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    named |= set(re.findall(r"`harness ([a-z]+)", page.read_text(encoding="utf-8")))
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_in_the_docs_is_valid(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    for text in blocks:
        parsed = yaml.safe_load(text)
        if "method" in parsed:
            (tmp_path / "adapters").mkdir(exist_ok=True)
            (tmp_path / "adapters" / f"{parsed['method']}.yaml").write_text(text, encoding="utf-8")
    for number, text in enumerate(blocks):
        if "name" in yaml.safe_load(text):
            (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
            found = CliRunner().invoke(cli, ["validate", f"{number}.yaml"], catch_exceptions=False)
            assert found.exit_code == 0, found.output


def test_readme_names_the_two_commands_that_set_everything_up() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert f"\n{target}:" in makefile
