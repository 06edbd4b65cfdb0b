"""Examples, adapters and runs for the tiny model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.catalog.prompts import prompts
from harness.spec.run import AdapterRef, DataRef, ModelRef, PromptRef, RunSpec, SourceRef, TrainSettings

TARGETS = ["q_proj", "k_proj", "v_proj", "up_proj", "down_proj"]
ANIMALS = ("heron", "otter", "lynx", "wren", "newt")


def first_fast(cases: Iterable[str]) -> list[Any]:
    """The first case as it is, the others as slow ones."""
    first, *others = cases
    return [first, *(pytest.param(other, marks=pytest.mark.slow) for other in others)]


def rows(count: int) -> list[dict[str, str]]:
    """Questions of unequal length with one-word answers."""
    return [
        {
            "instruction": f"Which animal has number {i}? " + "Think before you answer. " * (i % 3),
            "input": "",
            "output": f"It is the {ANIMALS[i % len(ANIMALS)]}.",
        }
        for i in range(count)
    ]


def data_file(path: Path, content: list[dict[str, Any]], format: str = "instruction") -> DataRef:
    path.write_text(json.dumps(content), encoding="utf-8")
    source = SourceRef(kind="path", location=str(path), name=path.name, format=format)
    return DataRef(name=path.stem, sources=(source,))


def prompt(name: str = "llm_adapters") -> PromptRef:
    template = prompts()[name]
    return PromptRef(name=name, train=template.train, score=template.score)


def adapter(method: str, config_class: str, **config: Any) -> AdapterRef:
    return AdapterRef(method=method, config_class=config_class, config=config)


def lora(**changes: Any) -> AdapterRef:
    arguments = {"r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "target_modules": TARGETS}
    return adapter("lora", "peft:LoraConfig", **{**arguments, **changes})


METHODS = {
    "lora": lora(),
    "dora": lora(use_dora=True),
    "vera": adapter("vera", "peft:VeraConfig", r=8, target_modules=["q_proj"]),
    "denselora": adapter("denselora", "harness.tuners:DenseLoraConfig", r=4, alpha=8, target_modules=TARGETS),
    "ia3": adapter(
        "ia3", "peft:IA3Config", target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]
    ),
    "mixed": AdapterRef(
        method="mixed",
        parts=(
            lora(target_modules=["q_proj", "v_proj"]),
            adapter("denselora", "harness.tuners:DenseLoraConfig", r=4, target_modules=["up_proj", "down_proj"]),
        ),
    ),
}


def run_of(data: DataRef, adapter: AdapterRef | None = None, *, seed: int = 0, **settings: Any) -> RunSpec:
    """A short run: 6 steps of 4 rows unless `settings` say otherwise."""
    train = TrainSettings(**{"steps": 6, "batch_size": 4, "learning_rate": 1e-2, "max_length": 128, **settings})
    return RunSpec(
        model=ModelRef(name="tiny"),
        adapter=adapter or lora(),
        data=data,
        train=train,
        prompt=prompt(),
        seed=seed,
        train_id="a1",
    )
