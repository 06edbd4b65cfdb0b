"""Docs that are executed do not rot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from safetensors.numpy import save_file

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


BLOCKS = [
    pytest.param(text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
]
SMALLEST = """\
name: smallest
base: {model: micro-llama}
data: {train: micro}
adapters: [{method: lora, r: 8}]
tasks: micro
"""


@pytest.mark.parametrize("text", BLOCKS)
def test_every_example_in_the_docs_is_valid(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    for folder in (here / "tasks", here / "adapters", tmp_path / "kept" / "lora-r16"):
        folder.mkdir(parents=True)
    (tmp_path / "kept" / "lora-r16" / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 16}')
    save_file({}, tmp_path / "kept" / "lora-r16" / "adapter_model.safetensors")
    monkeypatch.chdir(here)
    (here / "smallest.yaml").write_text(SMALLEST, encoding="utf-8")
    parsed = yaml.safe_load(text)
    if "method" in parsed:
        (here / "adapters" / f"{parsed['method']}.yaml").write_text(text, encoding="utf-8")
        command = ["adapters", "show", parsed["method"]]
    elif "task" in parsed:
        (here / "tasks" / "own.yaml").write_text(text, encoding="utf-8")
        command = ["tasks", "list", "tasks"]
    elif all(isinstance(value, dict) and "tasks" in value for value in parsed.values()):
        (here / "tasks" / "benchmarks.yaml").write_text(text, encoding="utf-8")
        for task in (task for benchmark in parsed.values() for task in benchmark["tasks"]):
            (here / "tasks" / f"{task}.yaml").write_text(own_task(task), encoding="utf-8")
        command = ["tasks", "list", "tasks"]
    else:
        fragment = text if "name" in parsed else f"extends: [smallest.yaml]\nname: part\n{text}"
        (here / "example.yaml").write_text(fragment, encoding="utf-8")
        command = ["validate", "example.yaml"]
    found = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert found.exit_code == 0, found.output


def own_task(name: str) -> str:
    """The docs' own task by another name."""
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(task: sums\n.*?)```", page, re.DOTALL)
    return text.replace("task: sums", f"task: {name}")


def test_readme_names_the_commands_that_set_everything_up() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "methods", "test"):
        assert f"make {target}" in readme
        assert f"\n{target}:" in makefile
