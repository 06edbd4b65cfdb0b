"""What a machine lacks for an experiment is told by its memory and its GPUs, of which none is needed to know it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness import load_experiment
from harness.catalog.models import model_entry
from harness.cli.main import cli
from harness.pipeline import main_memory
from harness.pipeline.plan import plan
from harness.schedule.devices import Devices
from harness.schedule.fitness import parameters, shortfalls
from harness.spec.grid import expand

GRANULARITY = Path(__file__).parents[2] / "experiments" / "granularity.yaml"
LLAMA = "meta-llama/Meta-Llama-3-8B"
GIB = 2**30
LAPTOP, SERVER = Devices(16 * GIB), Devices(256 * GIB, (80 * GIB,))


@pytest.fixture(autouse=True)
def at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model's weights can be had."""
    monkeypatch.setattr("harness.schedule.fitness.weights_fault", lambda name, revision: None)


def told(machine: Devices, *changes: str, profile: str = "paper") -> list[tuple[str, str]]:
    runs = expand(load_experiment(GRANULARITY, profile, changes))
    return [(found.field, found.message) for found in shortfalls(plan(list(runs), None), machine)]


def test_the_parameters_are_those_of_the_model_but_for_norms():
    assert parameters(model_entry(LLAMA)) == pytest.approx(8_030_261_248, rel=1e-4)
    assert parameters(model_entry("smollm2-135m")) == pytest.approx(134_515_008, rel=1e-3)


def test_on_a_large_gpu_nothing_is_lacking():
    assert told(SERVER) == []


@pytest.mark.parametrize("profile", ["smollm2", "micro"])
def test_on_a_laptop_the_small_profiles_lack_nothing(profile):
    assert told(Devices(4 * GIB), profile=profile) == []


def test_weights_that_no_gpu_has_room_for():
    assert told(Devices(256 * GIB, (8 * GIB, 12 * GIB))) == [
        ("base.model", f"{LLAMA}'s weights alone take 16.1 GB in bfloat16; the largest GPU here has 12.9 GB"),
    ]


def test_quantised_weights_take_less_room():
    assert told(Devices(256 * GIB, (12 * GIB,)), "base.quantization=nf4") == []


def test_without_a_gpu_training_a_large_model_is_refused_and_a_few_steps_are_not():
    (found,) = told(Devices(256 * GIB))
    assert found == (
        "base.model",
        f"training on {LLAMA} (8.0 billion parameters) for more than 100 steps needs a GPU; found none "
        "(--set train.steps=100 is tried without one)",
    )  # fmt: skip
    assert told(Devices(256 * GIB), "train.steps=100", "train.epochs=null") == []


def test_weights_that_do_not_fit_into_the_machine_s_memory():
    room, gpu = told(LAPTOP, "base.dtype=float32")
    assert room[1] == (
        f"{LLAMA}'s weights alone take 32.1 GB in float32; there is no GPU, and this machine has 17.2 GB"
    )
    assert "needs a GPU" in gpu[1]


def test_what_does_not_tell_its_memory_is_not_judged():
    assert told(Devices(256 * GIB, (None,))) == []


def test_a_model_behind_an_api_needs_nothing_of_this_machine():
    runs = expand(load_experiment(GRANULARITY.with_name("chatgpt.yaml")))
    assert shortfalls(plan(list(runs), None), Devices(GIB)) == []


LARGE_MODEL = """\
name: large
base: {model: llama3-8b}
data: {train: micro}
adapters: [{method: lora}]
tasks: micro
"""
NVIDIA_SMI = """#!/bin/sh
case "$*" in
  -L) echo "GPU 0: A (UUID: GPU-aa)"; echo "GPU 1: B (UUID: GPU-bb)" ;;
  *) echo "0, GPU-aa, A, 81920, 70000"; echo "1, GPU-bb, B, [N/A], [N/A]" ;;
esac
"""


@pytest.mark.parametrize(
    ("visible", "found"),
    [(None, (80 * GIB, None)), ("0", (80 * GIB,)), ("GPU-a", (80 * GIB,)), ("1", (None,)), ("", ()), ("7", (None,))],
)
def test_the_memory_of_the_visible_gpus_is_asked_of_nvidia_smi(tmp_path, monkeypatch, visible, found):
    (tmp_path / "nvidia-smi").write_text(NVIDIA_SMI, encoding="utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(main_memory.sys, "platform", "linux")
    assert Devices.here().gpus == found


def test_a_plan_says_what_the_machine_lacks_without_asking_the_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(main_memory.sys, "platform", "linux")
    monkeypatch.setattr("harness.schedule.fitness.weights_fault", lambda *_: pytest.fail("the hub was asked"))
    path = tmp_path / "large.yaml"
    path.write_text(LARGE_MODEL, encoding="utf-8")
    shown = CliRunner().invoke(cli, ["plan", str(path)], catch_exceptions=False)

    assert shown.exit_code == 0
    assert f"missing: {path}:2 base.model: training on meta-llama/Meta-Llama-3-8B" in shown.stdout
    assert "needs a GPU; found none" in shown.stdout
