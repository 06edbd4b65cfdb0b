"""Modules and layers that an adapter names and the model does not have."""

from __future__ import annotations

from contextlib import suppress
from itertools import combinations
from typing import Any

import pytest
import yaml

from harness.catalog.architectures import LETTERS, module_names
from harness.catalog.models import model_entry
from harness.errors import RunError
from harness.paths import PACKAGE
from harness.spec.run import AdapterRef
from harness.train.adapter import count_parameters

from .runs import adapter, lora

MICRO = model_entry("micro-llama").config or {}
LAYERS = MICRO["num_hidden_layers"]
GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 64}


def parameters(ref: AdapterRef, config: dict[str, Any] | None = None) -> int:
    return count_parameters(config or MICRO, ref).trainable


def told(ref: AdapterRef, config: dict[str, Any] | None = None) -> str:
    with pytest.raises(RunError) as raised:
        parameters(ref, config)
    assert raised.value.kind == "config"
    return str(raised.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"target_modules": ["q_prj", "v_proj"]},
            "lora: target_modules: the model has no module 'q_prj', did you mean 'q_proj'?",
        ),
        (
            {"target_modules": ["layers.7.self_attn.q_proj", "v_proj"]},
            "lora: target_modules: the model has no module 'layers.7.self_attn.q_proj'",
        ),
        (
            {"target_modules": ["q_proj"], "exclude_modules": ["0.q_proj"]},
            "lora: exclude_modules: the model has no module '0.q_proj'",
        ),
        (
            {"target_modules": ["q_proj"], "modules_to_save": ["lm_heads"]},
            "lora: modules_to_save: the model has no module 'lm_heads', did you mean 'lm_head'?",
        ),
        (
            {"target_modules": ["q_proj"], "layers_to_transform": [0, 9]},
            f"lora: layers_to_transform: no layer 9, the model has {LAYERS}: 0 to {LAYERS - 1}",
        ),
        (
            {"target_modules": ["q_proj"], "layers_to_transform": LAYERS},
            f"lora: layers_to_transform: no layer {LAYERS}, the model has {LAYERS}: 0 to {LAYERS - 1}",
        ),
    ],
)
def test_a_name_that_the_model_lacks(config, said):
    assert told(lora(**config)).startswith(said)


def test_all_names_are_told_at_once():
    message = told(lora(target_modules=["q_prj", "k_prj", "v_proj"]))
    assert "'q_prj'" in message and "'k_prj'" in message and "'v_proj'" not in message


def test_parts_of_a_mixture_are_looked_at():
    parts = lora(target_modules=["q_proj"]), adapter("dora", "peft:LoraConfig", target_modules=["kproj"])
    mixed = AdapterRef(method="mixed", parts=parts)
    assert told(mixed) == "dora: target_modules: the model has no module 'kproj', did you mean 'k_proj'?"


def test_names_of_another_architecture():
    assert "did you mean 'c_attn'?" in told(lora(target_modules=["c_attn", "c_atn"]), GPT2)


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ["self_attn.q_proj", "layers.0.self_attn.v_proj", "model.layers.1.mlp.up_proj"]},
        {"target_modules": "all-linear"},
        {"target_modules": [f"layers.{LAYERS}.self_attn.q_proj"], "layer_replication": [[0, LAYERS], [0, LAYERS]]},
        {"target_modules": r".*\.layers\.[01]\..*q_proj"},
        {"target_modules": ["q_proj", "v_proj"], "exclude_modules": ["layers.0.self_attn.q_proj"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "mlp"], "layers_to_transform": [0, LAYERS - 1]},
    ],
)
def test_what_peft_finds_is_taken(config):
    assert parameters(lora(**config)) > 0


@pytest.mark.parametrize("model_type", yaml.safe_load((PACKAGE / "catalog" / "architectures.yaml").read_text()))
def test_every_letter_means_modules_that_its_architecture_has(model_type: str) -> None:
    letters = [letter for letter in LETTERS if known(letter, model_type)]
    names = {name for letter in letters for name in known(letter, model_type)}
    assert parameters(lora(target_modules=sorted(names)), {"model_type": model_type, "num_hidden_layers": 2}) > 0


def known(letter: str, model_type: str) -> list[str]:
    """The module that a letter means, with all other letters that it holds; none where the architecture lacks it."""
    for size in range(1, len(LETTERS) + 1):
        for others in combinations(LETTERS, size):
            with suppress(ValueError):
                if letter in others:
                    return module_names("".join(others), model_type)
    return []
