"""The methods that are built in: they fit wide and narrow models, and train what their papers' formulas say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from transformers.activations import ACT2FN

from harness.adapters.catalogue import find_methods
from harness.adapters.method import Method
from harness.adapters.param import check_param
from harness.adapters.params import joint_problems, resolve_config, resolve_params
from harness.catalog.models import model_entry
from harness.spec.run import AdapterRef
from harness.train.adapter import ParameterCount, count_parameters
from harness.tuners import DenseLoraConfig

Formula = Callable[[int, int], float]

BY_LAYER: dict[str, Formula] = {
    "c3a": lambda out, into: out * into / 64,
    "deft": lambda out, into: 32 * (out + into),
    "delora": lambda out, into: 32 * (out + into) + 1,
    "fourierft": lambda out, into: 5000,
    "glora": lambda out, into: 2 * 8 * (out + into),
    "gralora": lambda out, into: 32 * (out + into),
    "hira": lambda out, into: 32 * (out + into),
    "hra": lambda out, into: 32 * into,
    "loha": lambda out, into: 2 * 32 * (out + into),
    "miss": lambda out, into: 64 * out,
    "oft": lambda out, into: into / 32 * (32 * 31 / 2),
    "osf": lambda out, into: (out + into + 1) * (min(out, into) - int(0.95 * min(out, into))),
    "peanut": lambda out, into: 2 * 32 * out,
    "psoft": lambda out, into: 64 * 63 / 2 + 2 * 64,
    "pvera": lambda out, into: out + 2 * 256,
    "randlora": lambda out, into: math.ceil(min(out, into) / 32) * (32 + min(out, into)),
    "road": lambda out, into: 2 * out,
    "tinylora": lambda out, into: 64,
    "waveft": lambda out, into: 5000,
}
"""What a method with its defaults trains in each of the layers that QKVUD names."""


NARROW = {**(model_entry("smollm2-135m").config or {}), "num_hidden_layers": 2, "vocab_size": 256}
"""Two layers as narrow as those of SmolLM2-135M, which none of the usual block sizes of 128 or 256 divides."""
QKVUD = [(576, 576), (192, 576), (192, 576), (1536, 576), (576, 1536)] * 2
"""(out, in) of their query, key, value, up and down."""


def counted(method: str, architecture: dict[str, Any], **given: Any) -> ParameterCount:
    found = find_methods().method(method)
    config = resolve_config(found, resolve_params(found, given), "llama")
    return count_parameters(architecture, AdapterRef(method=method, config_class=found.config_class, config=config))


@pytest.mark.parametrize("method", BY_LAYER)
def test_it_fits_a_narrow_model_and_trains_what_its_formula_says(method):
    assert counted(method, NARROW).trainable == sum(BY_LAYER[method](out, into) for out, into in QKVUD)


def test_the_vectors_of_a_bank_are_counted_once():
    logits = sum(4 * 256 * (out + into) / 64 for out, into in QKVUD)

    assert counted("vblora", NARROW).trainable == logits + 256 * 64


def test_biases_are_added_to_the_values_only():
    assert counted("beft", NARROW).trainable == 2 * 192


def test_every_norm_is_tuned():
    assert counted("ln_tuning", NARROW).trainable == (2 * 2 + 1) * 576


def test_rescaling_takes_the_outputs_of_attention_and_the_inputs_of_the_mlp():
    attention, mlp = 2 * 576 + 2 * 192, 2 * 576 + 1536

    assert counted("ia3", NARROW).trainable == 2 * (attention + mlp)


@pytest.mark.parametrize(("stride", "groups"), [(16, 1), (1, 2)])
def test_what_layers_share_is_counted_once(stride, groups):
    pairs = sum(140 * (groups * into + 2 * out) for out, into in [(1536, 576), (1536, 576), (576, 1536)])
    routers = 2 * 3 * 140 * 2

    assert counted("lily", NARROW, stride_a=stride).trainable == pairs + routers


@pytest.mark.parametrize("name", ["denselora", "denselora_unshared"])
def test_its_file_allows_the_activations_that_its_class_takes(name):
    method = find_methods().method(name)
    known = ["identity", *ACT2FN]
    pairs = [{"activation": first, "decoder_activation": second} for first in known for second in (None, *known)]

    assert [pair for pair in pairs if allowed(method, pair)] == [pair for pair in pairs if built(pair)]


def allowed(method: Method, given: dict[str, Any]) -> bool:
    alone = [check_param(method.params[name], value, method.params) for name, value in given.items()]
    return not any(alone) and not joint_problems(method, given)


def built(given: dict[str, Any]) -> bool:
    try:
        return bool(DenseLoraConfig(**given))
    except ValueError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "given", "trainable", "percent"),
    [
        ("lokr", {"r": 4, "factor": -1}, 811_008, 0.01),
        ("nora", {"r": 128, "outer_r": 196}, 8_028_160, 0.10),
        ("vera", {"r": 256}, 827_392, 0.01),
        ("adalora", {"r": 8, "init_r": 16}, 28_314_112, 0.35),
    ],
)
def test_the_configuration_in_its_notes_has_the_share_that_denseloras_paper_lists(method, given, trainable, percent):
    found = counted(method, model_entry("meta-llama/Meta-Llama-3-8B").config or {}, **given)

    assert (found.trainable, round(found.percent, 2)) == (trainable, percent)
    assert f"{trainable:,}" in " ".join(find_methods().method(method).notes.split())
