"""What PEFT's tests assume of methods by their names, set right for ours."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from .expected import NOT_LINEAR


def set_rules(module: types.ModuleType) -> None:
    """Replaces the rules among the functions that a module of PEFT's tests defines or imports."""
    for name, rule in RULES.items():
        if hasattr(module, name):
            setattr(module, name, rule)


def can_merge(arguments: dict[str, Any]) -> bool:
    """Whether every part of the adapter is linear in its input."""
    parts = arguments.get("parts", [{"peft_type": "DENSELORA", **arguments}])
    return all(part["peft_type"] == "LORA" or part.get("activation") == "identity" for part in parts)


def skip_if_not_linear(model_id: str, config_cls: type, arguments: dict[str, Any]) -> None:
    if not can_merge(arguments):
        pytest.skip(NOT_LINEAR)


def no_rule(*_: Any) -> None:
    """In place of a rule that skips tests or changes configurations, and that is not about our methods."""


@contextlib.contextmanager
def stay_offline(_: str) -> Iterator[None]:
    """In place of the context in which PEFT's tests go online when they first use a model."""
    yield


RULES = {
    "hub_online_once": stay_offline,
    "_skip_if_merging_not_supported": skip_if_not_linear,
    # A list of methods that adapt transformers' Conv1D; ours do.
    "_skip_if_conv1d_not_supported": no_rule,
    # It is about BEFT, but by a slip (`isinstance` of a class) it also hides Llama and Gemma from all other methods.
    "check_beft_config": no_rule,
    # It is about LoRA, but looks for "lora" in the name of the method.
    "skip_deberta_lora_tests": no_rule,
}


def stub_diffusers() -> None:
    """PEFT's tests ask of every model whether it is a `StableDiffusionPipeline`; none is."""
    if importlib.util.find_spec("diffusers") is None:
        stub = types.ModuleType("diffusers")
        stub.__spec__ = importlib.machinery.ModuleSpec("diffusers", loader=None)
        stub.StableDiffusionPipeline = type("StableDiffusionPipeline", (), {})
        sys.modules["diffusers"] = stub
