"""Adapters: configured, attached, counted, and taken off a base that stays as it was."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from os import environ
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.catalog.models import model_entry
from harness.errors import RunError
from harness.spec.run import AdapterRef
from harness.train.adapter import (
    attach,
    build_config,
    count_parameters,
    counted,
    detach,
    load_adapter,
)
from harness.train.fingerprint import weights_fingerprint
from harness.train.live import prove_live

from .runs import METHODS, TARGETS, adapter, lora

OWN_TUNER = """
from dataclasses import dataclass
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from harness.tuners.registration import extend_peft_type, register_tuner

MINE = extend_peft_type("MINE")

@dataclass
class MineConfig(LoraConfig):
    def __post_init__(self):
        super().__post_init__()
        self.peft_type = MINE

register_tuner("mine", MineConfig, LoraModel)
"""
LLAMA3 = "meta-llama/Meta-Llama-3-8B"
FULL = AdapterRef(method="full", trains="all")
BARE = AdapterRef(method="none", trains="nothing")
ADALORA = adapter(
    "adalora",
    "peft:AdaLoraConfig",
    init_r=6,
    target_r=2,
    tinit="0.1steps",
    tfinal="0.25steps",
    total_step="steps",
    target_modules=["q_proj"],
)


def dense(r: int) -> AdapterRef:
    return adapter("denselora", "harness.tuners:DenseLoraConfig", r=r, alpha=2 * r, target_modules=TARGETS)


@pytest.mark.parametrize(
    ("model", "ref", "expected"),
    [
        (LLAMA3, lora(r=32), 56_623_104),
        (LLAMA3, dense(16), 925_696),
        (LLAMA3, dense(64), 4_194_304),
        ("meta-llama/Llama-2-7b-hf", dense(32), 1_916_928),
        (LLAMA3, FULL, 8_030_261_248),
        (LLAMA3, BARE, 0),
    ],
)
def test_parameters_of_the_papers_models_are_counted_in_seconds(model: str, ref: AdapterRef, expected: int) -> None:
    started = time.perf_counter()
    count = count_parameters(model_entry(model).config or {}, ref)
    assert count.trainable == expected
    assert time.perf_counter() - started < 10


def test_the_percentage_is_pefts() -> None:
    count = count_parameters(model_entry(LLAMA3).config or {}, lora(r=32))
    assert count.base == 8_030_261_248
    assert count.percent == pytest.approx(100 * 56_623_104 / (8_030_261_248 + 56_623_104))


def test_what_can_not_be_counted_says_why(base: PreTrainedModel) -> None:
    with pytest.raises(RunError, match="model_type 'lama'"):
        count_parameters({"model_type": "lama"}, lora())
    shira = adapter("shira", "peft:ShiraConfig", r=4, target_modules=["q_proj"])
    with pytest.raises(RunError, match="shira"):
        count_parameters(base.config.to_dict(), shira)


@pytest.mark.parametrize("ref", [*METHODS.values(), ADALORA, FULL], ids=[*METHODS, "adalora", "full"])
def test_the_count_without_weights_is_the_count_with_them(base: PreTrainedModel, ref: AdapterRef) -> None:
    expected = count_parameters(base.config.to_dict(), ref)
    size = base.num_parameters()
    assert counted(attach(base, ref, total_steps=100, seed=0), size) == expected


def test_steps_may_be_given_as_a_share_of_the_training() -> None:
    config = build_config(ADALORA, total_steps=200)
    assert (config.tinit, config.tfinal, config.total_step) == (20, 50, 200)


def test_what_a_configuration_objects_to_is_the_runs_failure(base: PreTrainedModel) -> None:
    for ref in (adapter("lora", "peft:LoraConfig", rank=4), lora(target_modules=["no_such_module"])):
        with pytest.raises(RunError) as it:
            attach(base, ref, 10, seed=0)
        assert it.value.kind == "config"
    with pytest.raises(RunError, match="peft:NoSuchConfig can't be imported"):
        build_config(adapter("x", "peft:NoSuchConfig"), 10)


def weights(model: PreTrainedModel | PeftModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("ref", METHODS.values(), ids=METHODS)
def test_the_same_seed_makes_the_same_adapter(fresh_base: Callable[[], PreTrainedModel], ref: AdapterRef) -> None:
    first = weights(attach(fresh_base(), ref, 10, seed=1))
    torch.rand(7)
    assert equal(first, weights(attach(fresh_base(), ref, 10, seed=1)))


def test_a_base_in_bfloat16_carries_an_adapter_in_float32(base: PreTrainedModel) -> None:
    model = attach(base.to(torch.bfloat16), lora(), 10, seed=0)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}


def test_full_fine_tuning_in_half_precision_is_refused(base: PreTrainedModel) -> None:
    with pytest.raises(RunError, match="needs weights in bfloat16 or float32"):
        attach(base.to(torch.float16), FULL, 10, seed=0)


@pytest.mark.parametrize("ref", METHODS.values(), ids=METHODS)
def test_a_detached_base_is_bit_equal_and_bare(base: PreTrainedModel, ref: AdapterRef) -> None:
    before, modules, print_before = weights(base), [*dict(base.named_modules())], weights_fingerprint(base)
    detach(base, attach(base, ref, 10, seed=0))
    assert equal(before, weights(base))
    assert modules == [*dict(base.named_modules())]
    assert weights_fingerprint(base) == print_before
    assert "forward" not in base.__dict__
    assert not hasattr(base, "peft_config")


def test_the_fingerprint_tells_a_changed_base(base: PreTrainedModel) -> None:
    before = weights_fingerprint(base)
    with torch.no_grad():
        base.model.layers[1].mlp.down_proj.weight.add_(1e-3)
    assert weights_fingerprint(base) != before


def test_a_saved_adapter_is_loaded_with_the_same_answers(
    fresh_base: Callable[[], PreTrainedModel], tmp_path: Path
) -> None:
    model = attach(fresh_base(), lora(init_lora_weights=False), 10, seed=0).eval()
    model.save_pretrained(tmp_path)
    loaded = load_adapter(fresh_base(), tmp_path, lora())
    ids = torch.arange(12)[None]
    assert torch.equal(model(ids).logits, loaded(ids).logits)
    assert not loaded.training


@pytest.mark.slow
def test_a_kept_adapter_of_the_users_own_type_is_loaded_in_a_process_that_has_not_met_it(
    fresh_base: Callable[[], PreTrainedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, mine = fresh_base(), adapter("mine", "mine:MineConfig", r=2, target_modules=["q_proj"])
    base.save_pretrained(tmp_path / "base")
    (tmp_path / "mine.py").write_text(OWN_TUNER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    model = attach(base, mine, 10, seed=0)
    model.save_pretrained(tmp_path / "kept")

    script = (
        "import sys; from pathlib import Path; from transformers import AutoModelForCausalLM\n"
        "from harness.errors import RunError; from harness.spec.run import AdapterRef\n"
        "from harness.train.adapter import load_adapter\n"
        "base = AutoModelForCausalLM.from_pretrained('base')\n"
        "try: load_adapter(base, Path('kept'), AdapterRef(method='mine', config_class=sys.argv[1]))\n"
        "except RunError as error: print(error)\n"
        "else: print('loaded')\n"
    )

    def loads(config_class: str) -> str:
        command = [sys.executable, "-c", script, config_class]
        done = subprocess.run(command, cwd=tmp_path, env=environ | {"PYTHONPATH": "."}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert loads("mine:MineConfig") == "loaded"
    unknown = loads("peft:LoraConfig")
    assert unknown.startswith("kept holds an adapter of type MINE, which PEFT does not know; name the class")
    assert "import harness.tuners" in unknown


def test_an_adapter_that_changes_nothing_is_found_out(
    fresh_base: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(RunError, match="the adapter changes nothing"):
        prove_live(attach(fresh_base(), lora(), 10, seed=0).eval(), tokenizer)
    prove_live(attach(fresh_base(), lora(init_lora_weights=False), 10, seed=0).eval(), tokenizer)
    soft = adapter("prompt_tuning", "peft:PromptTuningConfig", num_virtual_tokens=4)
    prove_live(attach(fresh_base(), soft, 10, seed=0).eval(), tokenizer)
    prove_live(fresh_base(), tokenizer)
