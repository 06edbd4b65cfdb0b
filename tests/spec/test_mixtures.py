"""Mixtures of adapters that can't exist."""

from __future__ import annotations

import pytest

from harness import expand
from harness.adapters.catalogue import find_methods
from harness.adapters.method import Method
from harness.errors import RunError
from harness.spec.mixtures import can_be_mixed
from harness.spec.resolve import resolve_adapter
from harness.spec.run import AdapterRef
from harness.train.adapter import build_config

CATALOGUE = find_methods()


def mixed(*parts: dict) -> dict:
    return {"adapters": [{"mixed": list(parts)}]}


@pytest.mark.parametrize("other", ["vera", "none", "lora_plus", "pissa", "adalora"])
def test_a_method_that_can_not_be_mixed(problems, other):
    parts = {"method": "lora", "targets": "QKV"}, {"method": other, **({} if other == "none" else {"targets": "UD"})}
    told = f"{other} can't be mixed with others; mix lora, dora and denselora"
    assert problems(**mixed(*parts)) == {"adapters[0].mixed[1].method": told}


def test_every_method_that_can_be_mixed_and_no_other_is_taken():
    methods = [method for method in CATALOGUE.methods.values() if method.trains == "adapter"]
    hooks = [method for method in methods if method.callbacks or method.trainer or method.optimizer]
    taken = [method.method for method in methods if can_be_mixed(method)]
    assert taken == [method.method for method in methods if method not in hooks and mixes(method)]
    assert {"lora", "dora", "denselora"} <= set(taken)


def mixes(method: Method) -> bool:
    """Whether the mixture's own class takes it."""
    reference = resolve_adapter({"method": method.method}, CATALOGUE, "llama")
    try:
        return bool(build_config(AdapterRef(method="mixed", parts=(reference,)), 100))
    except (RunError, ValueError):
        return False


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("QKV", "VUD", "V can have one adapter, and is already a target of mixed[0], which leaves O, G"),
        ("QKV", ["v_proj"], "v_proj can have one adapter, and is already a target of mixed[0]"),
        (["up_proj", "q_proj"], ["q_proj"], "q_proj can have one adapter, and is already a target of mixed[0]"),
    ],
)
def test_a_module_has_one_adapter(problems, first, second, told):
    parts = {"method": "lora", "targets": first}, {"method": "denselora", "targets": second}
    assert problems(**mixed(*parts)) == {"adapters[0].mixed[1].targets": told}


def test_targets_of_a_matrix_are_those_of_every_part(problems):
    parts = {"method": "lora", "targets": "QKV"}, {"method": "dora", "targets": "UD"}
    found = problems(**mixed(*parts), matrix={"adapter.targets": ["QKV"]})
    assert list(found) == ["matrix.adapter.targets[0]"]


def test_parts_that_share_nothing_are_taken(experiment):
    found = experiment(**mixed({"method": "lora", "targets": "QKV"}, {"method": "rslora", "targets": "UD"}))
    (run,) = expand(found)
    assert [(part.method, part.params["targets"]) for part in run.adapter.parts] == [("lora", "QKV"), ("rslora", "UD")]
