"""An experiment that is edited between two runs: exactly what is still valid is reused, field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.catalog import prompts
from harness.pipeline import prerequisites
from harness.pipeline.plan import PlannedRun, plan
from harness.schedule.points import register
from harness.spec.grid import expand, points
from harness.spec.load import load_experiment
from harness.spec.schema import BaseSpec, DataSpec, ExperimentFile, ScoreSpec, TrainSpec

from .conftest import TASKS, Small

BOOLQ, PIQA = TASKS
LORA = {"method": "lora"}
BEFORE: dict[str, Any] = {
    "name": "small",
    "base": {"model": "llama3-8b"},
    "data": {"train": {"path": "train.json"}},
    "adapters": [LORA],
    "tasks": [BOOLQ, PIQA],
}
SERVED = BEFORE | {"base": {"model": "gpt", "api": "openai-chat"}, "prompt": "none", "adapters": [{"method": "none"}]}


def change(asked: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    section, _, name = field.partition(".")
    return asked | {section: {**asked.get(section, {}), name: value} if name else value}


def planned(small: Small, asked: dict[str, Any]) -> tuple[PlannedRun, ...]:
    small.path.write_text(yaml.safe_dump(asked, sort_keys=False))
    return plan(expand(load_experiment(small.path)), small.store).runs


def done(small: Small, asked: dict[str, Any]) -> None:
    """Records everything that the experiment asks for, and keeps its adapter."""
    small.path.write_text(yaml.safe_dump(asked, sort_keys=False))
    experiment = load_experiment(small.path)
    register(small.store, experiment, points(experiment))
    for run in expand(experiment):
        claim = small.claim(run)
        if run.adapter.trains != "nothing":
            small.train(claim, run)
        small.score(claim, *run.tasks)
        small.store.finish(claim, {})
    assert {each.action for each in planned(small, asked)} == {"reuse"}


TRAINED_AGAIN = {
    "base.model": "micro-llama",
    "base.revision": "v2",
    "base.dtype": "float32",
    "base.quantization": "nf4",
    "data.train": {"path": "other.json"},
    "data.fraction": 0.5,
    "data.limit": 1,
    "data.validation": 1,
    "train.epochs": 2,
    "train.steps": 3,
    "train.learning_rate": 1e-3,
    "train.lr_scheduler": "cosine",
    "train.warmup_steps": 0.1,
    "train.optimizer": "sgd",
    "train.weight_decay": 0.1,
    "train.max_grad_norm": 0.5,
    "train.batch_size": 8,
    "train.max_length": 128,
    "train.loss_on": "completion",
    "train.eval_steps": 40,
    "train.checkpoint": "best",
    "prompt": "none",
    "seeds": [1],
    "adapters": [{"method": "lora", "r": 8}],
}
SCORED_AGAIN = {"score.decoding": {"beams": 4}, "score.limit": 1}
REUSED = {
    "name": "renamed",
    "train.micro_batch_size": 4,
    "train.gradient_checkpointing": True,
    "score.batch_size": 2,
    "score.store_outputs": "all",
    "score.merge": "never",
    "tasks": [PIQA],
    "tasks_path": "own",
    "matrix": {"adapter.r": [16]},
    "same_recipe": True,
    "keep": True,
    "measure": ["increments"],
}
SERVED_AGAIN = {"base.api": "openai-completions", "base.url": "http://127.0.0.1:9/v1/chat/completions"}
SERVED_THE_SAME = {"base.timeout": 5.0, "base.max_retries": 1}
ELSEWHERE = {"select": "schedule/test_tuning.py, for what it makes due hangs on what was tried"}
SECTIONS = {"base": BaseSpec, "data": DataSpec, "train": TrainSpec, "score": ScoreSpec}


def test_every_field_of_an_experiment_has_its_case() -> None:
    fields = {name for name in ExperimentFile.model_fields if name not in (*SECTIONS, *ELSEWHERE)}
    fields |= {f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields}
    cases = TRAINED_AGAIN, SCORED_AGAIN, REUSED, SERVED_AGAIN, SERVED_THE_SAME
    named = [field for case in cases for field in case]
    assert sorted(named) == sorted(fields), "say of a new field what it makes due again"


@pytest.fixture
def ready(small: Small, place: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    """The experiment, all of it done; nothing that a changed one needs is missing."""
    for name, last in (("train.json", "4"), ("other.json", "5")):
        answers = ("1", "2", "3", last)
        (place / name).write_text(json.dumps([{"instruction": f"{answer}?", "output": answer} for answer in answers]))
    (place / "own").mkdir()
    monkeypatch.setattr(prerequisites, "_installed", lambda package: True)
    done(small, BEFORE)
    return small


@pytest.mark.parametrize("field", TRAINED_AGAIN)
def test_what_decides_the_adapter_is_trained_again(ready: Small, field: str) -> None:
    (found,) = planned(ready, change(BEFORE, field, TRAINED_AGAIN[field]))
    assert (found.action, found.reason, found.tasks) == ("train", "not trained yet", TASKS)


@pytest.mark.parametrize("field", SCORED_AGAIN)
def test_what_decides_the_scores_alone_is_scored_again(ready: Small, field: str) -> None:
    (found,) = planned(ready, change(BEFORE, field, SCORED_AGAIN[field]))
    assert (found.action, found.tasks) == ("score", TASKS)
    assert found.reason == f"adapter {found.run.train_id} is kept; no score yet"


@pytest.mark.parametrize("field", REUSED)
def test_what_decides_neither_is_reused(ready: Small, field: str) -> None:
    (found,) = planned(ready, change(BEFORE, field, REUSED[field]))
    assert (found.action, found.reason) == ("reuse", "every task has its score")


@pytest.mark.parametrize(
    ("field", "action"), [(f, "score") for f in SERVED_AGAIN] + [(f, "reuse") for f in SERVED_THE_SAME]
)
def test_a_server_is_asked_again_only_where_it_is_another(
    small: Small, field: str, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    done(small, SERVED)
    (found,) = planned(small, change(SERVED, field, (SERVED_AGAIN | SERVED_THE_SAME)[field]))
    assert found.action == action, found.reason


def test_the_training_data_is_what_its_file_holds(ready: Small, place: Path) -> None:
    (place / "train.json").rename(place / "moved.json")
    (moved,) = planned(ready, change(BEFORE, "data.train", {"path": "moved.json"}))
    (place / "moved.json").write_text((place / "other.json").read_text())
    (changed,) = planned(ready, change(BEFORE, "data.train", {"path": "moved.json"}))
    assert (moved.action, changed.action) == ("reuse", "train")


@pytest.mark.parametrize("part", ["train", "score"])
def test_a_prompt_is_its_texts(ready: Small, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"train": prompts.prompt("llm_adapters").train, "score": prompts.prompt("llm_adapters").score}
    changed = prompts.Prompt("llm_adapters", **texts | {part: texts[part] + " Think."})
    monkeypatch.setattr(prompts, "prompts", lambda: {"llm_adapters": changed})
    (found,) = planned(ready, BEFORE)
    assert found.action == part


def test_a_task_that_is_added_is_all_that_is_scored(ready: Small) -> None:
    (found,) = planned(ready, change(BEFORE, "tasks", [BOOLQ, "micro_two_way", PIQA]))
    assert (found.action, found.tasks) == ("score", ("micro_two_way",))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seeds", [0, 1]),
        ("adapters", [LORA, {"method": "dora"}]),
        ("adapters", [LORA, {"method": "lora", "train": {"learning_rate": 1e-2}}]),
        ("matrix", {"adapter.r": [16, 8]}),
        ("matrix", {"data.fraction": [1.0, 0.5]}),
    ],
)
def test_what_is_added_is_trained_and_what_was_there_is_reused(ready: Small, field: str, value: Any) -> None:
    assert [found.action for found in planned(ready, change(BEFORE, field, value))] == ["reuse", "train"]


def test_a_label_and_the_order_of_the_adapters_belong_to_the_experiment(ready: Small) -> None:
    dora, labelled = {"method": "dora"}, {"method": "lora", "label": "Mine"}
    found = planned(ready, change(BEFORE, "adapters", [dora, labelled]))
    assert [(each.run.adapter.method, each.action) for each in found] == [("dora", "train"), ("lora", "reuse")]


def test_an_edit_taken_back_is_all_reused(ready: Small) -> None:
    planned(ready, change(BEFORE, "train.learning_rate", 1e-2))
    (found,) = planned(ready, BEFORE)
    assert found.action == "reuse"
