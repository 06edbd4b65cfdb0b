"""What is wrong with a method's classes and with its fit, before any weight is loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.adapters.method import Method, load_method
from harness.pipeline.check import Counted, count
from harness.pipeline.classes import class_problems
from harness.spec.grid import expand
from harness.spec.load import load_experiment

EXPERIMENT = "name: small\nbase: {model: micro-llama}\ndata: {train: micro}\ntasks: micro\nadapters:\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, from which modules can be imported; nothing is remembered of earlier counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def method(folder: Path) -> Callable[[str], Method]:
    """A method file with these lines after its name."""

    def load(text: str) -> Method:
        path = folder / "adapters" / "mine.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"method: mine\n{text}")
        return load_method(path, "adapters/mine.yaml")

    return load


def problem(entry: str) -> str | None:
    """Why a run of this adapter can't be counted."""
    Path("small.yaml").write_text(f"{EXPERIMENT}  - {entry}\n")
    runs = expand(load_experiment("small.yaml"))
    return count(runs)[runs[0].run_id].problem


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("config_class: nowhere:X\n", "2 config_class: nowhere:X can't be imported: No module named 'nowhere'"),
        ("config_class: peft:NoConfig\n", "2 config_class: peft:NoConfig can't be imported: module 'peft' has no"),
        ("config_class: collections:OrderedDict\n", "2 config_class: collections:OrderedDict is no peft.PeftConfig"),
        ("config_class: peft:get_peft_model\n", "2 config_class: peft:get_peft_model is no peft.PeftConfig"),
        ("config_class: loud_module:X\n", "2 config_class: loud_module:X can't be imported: RuntimeError: boom"),
        ("config_class: leaving_module:X\n", "2 config_class: leaving_module:X can't be imported: SystemExit: 5"),
        ("config_class: peft:LoraConfig\ntrainer: nowhere:X\n", "3 trainer: nowhere:X can't be imported"),
        ("config_class: peft:LoraConfig\noptimizer: os:name\n", "3 optimizer: os:name can't be called"),
        ("config_class: peft:LoraConfig\ncallbacks:\n  - nowhere:X\n", "4 callbacks[0]: nowhere:X can't be imported"),
    ],
)
def test_a_class_that_can_not_be_used_is_told_at_its_line(method, folder, capsys, lines, said):
    (folder / "loud_module.py").write_text("print('hello')\nraise RuntimeError('boom\\nand more')\n")
    (folder / "leaving_module.py").write_text("import sys\nsys.exit(5)\n")

    (found,) = map(str, class_problems(method(lines)))

    assert found.startswith(f"adapters/mine.yaml:{said}")
    assert capsys.readouterr().out == ""


def test_a_method_of_pefts_has_no_problem(method):
    assert class_problems(method("config_class: peft:HRAConfig\n")) == []
    assert class_problems(method("trains: nothing\n")) == []


@pytest.mark.parametrize(
    ("config_class", "said"),
    [("collections:OrderedDict", "is no peft.PeftConfig"), ("nowhere:X", "can't be imported: No module named")],
)
def test_a_run_whose_class_can_not_be_used_is_a_problem_and_no_crash(method, config_class, said):
    method(f"config_class: {config_class}\n")
    assert said in problem("{method: mine}")


def test_modules_that_are_not_there_are_a_problem(folder):
    told = problem("{method: lora, targets: [q_proj, nothing_proj]}")
    assert told.startswith("lora: target_modules: the model has no module 'nothing_proj', allowed: ")


def test_what_a_class_says_is_told_in_one_line(method, folder):
    text = (
        "from peft import LoraConfig\nclass X(LoraConfig):\n    def __post_init__(self): raise ValueError('a\\nb')\n"
    )
    (folder / "wordy_module.py").write_text(text)
    method("config_class: wordy_module:X\n")
    assert problem("{method: mine}") == "mine: a"


def test_an_architecture_that_can_not_be_built_is_a_problem(folder):
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text('{"model_type": "llama", "hidden_size": "wide"}')
    Path("small.yaml").write_text(f"{EXPERIMENT.replace('micro-llama', './model')}  - {{method: lora}}\n")
    runs = expand(load_experiment("small.yaml"))

    (found,) = count(runs).values()
    assert found.problem.startswith(f"lora on {folder / 'model'}: ")
    assert "hidden_size" in found.problem


def test_counting_prints_nothing(folder, capfd):
    assert problem("{method: lora, r: 4}") is None
    assert capfd.readouterr() == ("", "")
    assert "torch" in sys.modules


@pytest.mark.parametrize("method", ["boft", "shira"])
def test_a_method_that_looks_at_the_weights_is_planned_uncounted(folder, method):
    (folder / "small.yaml").write_text(f"{EXPERIMENT}  - {{method: {method}}}\n")
    (run,) = expand(load_experiment("small.yaml"))

    assert count([run])[run.run_id] == Counted(base_params=841_088)
