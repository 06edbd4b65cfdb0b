"""An experiment that this machine can't run ends at once, with what it lacks and what can be run instead."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from huggingface_hub import constants

from harness.cli.main import cli
from harness.cli.offer import _again

from .conftest import Project

PAPER = """\
# Is the weather fine?
name: weather
base: {model: meta-llama/Meta-Llama-3-8B}
data: {train: micro}
train: {epochs: 1, eval_steps: 10}
score: {limit: 2, batch_size: 2}
adapters:
  - {method: none}
tasks: [micro_true_false]
profiles:
  micro: {base: {model: micro-llama}}
"""
LLAMA = "meta-llama/Meta-Llama-3-8B"
OFFLINE = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
RECORDED = Path(__file__).parents[1] / "store" / "assets" / "0003.db"
COMMAND = "harness run weather.yaml --profile micro"


@pytest.fixture
def weather(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose experiment asks for a model that is not here; without network, without GPU."""
    for name, value in {**OFFLINE, "HF_HOME": str(project.folder / "hf")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    project.write("weather.yaml", PAPER)
    return project


@pytest.fixture
def invoke(weather: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in this process, which is faster."""
    monkeypatch.chdir(weather.folder)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(weather.folder / "hf"))

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        return CliRunner().invoke(cli, arguments)

    return run


def test_the_paper_s_experiment_as_it_stands_says_what_it_lacks_and_what_fits(weather: Project) -> None:
    told = weather.harness("run", "experiments/granularity.yaml", exits=2)

    lines = told.stderr.splitlines()
    assert told.stdout == ""
    assert any(f"base.model: training on {LLAMA}" in line and "needs a GPU; found none" in line for line in lines)
    assert any(f"{LLAMA} is not in the hub's cache here, and $HF_HUB_OFFLINE forbids" in line for line in lines)
    assert any("data.train: training data: commonsense_170k.json" in line for line in lines)
    assert lines[-2:] == [
        "granularity (paper) can't be run here; what fits this machine:",
        "  harness run experiments/granularity.yaml --profile micro",
    ]
    assert not (weather.folder / "hf").exists()  # nothing was fetched


def test_everything_that_was_asked_stands_in_the_command_that_fits(invoke: Callable[..., Result]) -> None:
    told = invoke("--db", "sqlite:///other.db", "run", "weather.yaml", "--limit", "3", "--set", "seeds=[7]")
    asked = "--db sqlite:///other.db run weather.yaml --limit 3 --set 'seeds=[7]' --profile micro"
    assert told.exit_code == 2
    assert told.stderr.splitlines()[-1] == f"  harness {asked}"


@pytest.mark.parametrize(
    "lacks", [(), ("--profile", "micro", "--set", "adapters=[{method: lora}]", "--set", "data.train=math_10k")]
)
@pytest.mark.parametrize("there", [True, False])
def test_a_run_that_is_refused_changes_no_byte_of_the_results(
    weather: Project, invoke: Callable[..., Result], there: bool, lacks: tuple[str, ...]
) -> None:
    results = weather.folder / "results.db"
    if there:
        shutil.copy(RECORDED, results)
    assert invoke("run", "weather.yaml", *lacks).exit_code == 2
    assert results.exists() is there
    assert not there or results.read_bytes() == RECORDED.read_bytes()
    assert not list(weather.folder.glob("results.db-*"))


def test_what_fits_nowhere_offers_nothing(invoke: Callable[..., Result]) -> None:
    told = invoke("run", "weather.yaml", "--set", f"base.model={LLAMA}")
    assert told.exit_code == 2
    assert LLAMA in told.stderr
    assert "what fits" not in told.stderr


@pytest.mark.parametrize("options", [("run", "weather.yaml", "--json"), ("--quiet", "run", "weather.yaml")])
def test_a_script_is_told_and_not_asked(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setattr("harness.cli.offer.click.prompt", lambda *told, **more: pytest.fail("it asks"))
    told = invoke(*options)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.splitlines()[-1].endswith("--profile micro")


@pytest.mark.parametrize(
    ("asked", "again"),
    [
        (["run", "x.yaml"], ["run", "x.yaml"]),
        (["run", "x.yaml", "--profile", "paper", "--limit", "5"], ["run", "x.yaml", "--limit", "5"]),
        (["run", "--profile=paper", "x.yaml"], ["run", "x.yaml"]),
    ],
)
def test_the_profile_takes_the_place_of_the_one_that_was_asked(asked: list[str], again: list[str]) -> None:
    assert _again(asked, "micro") == [*again, "--profile", "micro"]


def on_a_terminal(project: Project, answer: bytes) -> tuple[int, str]:
    """Runs the experiment in a terminal whose user gives this answer; the exit code, and what stood there."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "harness", "run", "weather.yaml"]
    process = subprocess.Popen(
        command, cwd=project.folder, env=project.environment(), stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    seen, asked = b"", False
    while select.select([master], [], [], 120)[0]:
        try:
            seen += os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        if b"Run one of them now?" in seen and not asked:
            asked = True
            os.write(master, answer)
    os.close(master)
    return process.wait(30), seen.decode()


@pytest.mark.slow
def test_on_a_terminal_the_offer_can_be_taken(weather: Project) -> None:
    code, seen = on_a_terminal(weather, b"micro\n")

    assert code == 0, seen
    assert f"  {COMMAND}" in seen
    assert "Run one of them now? (micro, none) [none]" in seen
    assert "weather (micro): 0 reused, 1 done" in seen
    assert weather.json("status", "--json")["counts"]["complete"] == 1


def test_on_a_terminal_the_offer_can_be_left(weather: Project) -> None:
    code, seen = on_a_terminal(weather, b"\n")

    assert code == 2
    assert "done" not in seen.partition("Run one of them now?")[2]
    assert weather.json("status", "--json")["counts"]["complete"] == 0
