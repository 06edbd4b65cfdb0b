"""What makes two runs the same, and what doesn't. Ids that were recorded never change."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from harness import expand, load_experiment
from harness.catalog import prompts
from harness.spec import run
from harness.spec.fields import IDENTITY, FieldClass
from harness.spec.identity import canonical, digest, field_class
from harness.spec.run import Frozen, TrainSettings
from harness.spec.schema import TrainSpec

GOLDEN = yaml.safe_load((Path(__file__).parent / "golden" / "ids.yaml").read_text(encoding="utf-8"))


def ids(found):
    (only,) = expand(found)
    return only.train_id, only.run_id


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["title"])
def test_recorded_ids_stay(case, write):
    path = case.get("experiment") or write("golden.yaml", yaml.safe_dump(case["spec"], sort_keys=False))
    found = load_experiment(path, case.get("profile"), case.get("set", ()))

    runs = [[point.adapter.method, point.run_id, point.train_id] for point in expand(found)]
    # An experiment may ask for more than it did.
    assert [run for run in runs if run in case["ids"]] == case["ids"]


def test_every_field_is_identity_scoring_or_runtime():
    models = [model for model in vars(run).values() if isinstance(model, type) and issubclass(model, Frozen)]
    assert run.RunSpec in models
    for model in models:
        for name in model.model_fields:
            field_class(model, name)


def test_an_unclassified_field_is_refused():
    class Careless(BaseModel):
        colour: str = "red"

    with pytest.raises(TypeError, match=r"Careless\.colour must be marked once as IDENTITY, SCORING or RUNTIME"):
        canonical(Careless(), frozenset({"identity"}))


def test_every_hyper_parameter_of_a_file_reaches_the_run():
    assert TrainSpec.model_fields.keys() == TrainSettings.model_fields.keys()


def test_a_field_added_later_changes_no_id_at_its_default():
    from typing import Annotated

    class Old(Frozen):
        r: Annotated[int, IDENTITY] = 1

    class New(Old):
        rank_pattern: Annotated[str, FieldClass("identity", since=2)] = "none"

    roles = frozenset({"identity"})
    assert digest(canonical(New(), roles)) == digest(canonical(Old(), roles))
    assert digest(canonical(New(rank_pattern="x"), roles)) != digest(canonical(Old(), roles))


SAME = {
    "label": {"adapters": [{"method": "lora", "label": "Mine"}]},
    "defaults written out": {"adapters": [{"method": "lora", "r": 16, "alpha": 32, "dropout": 0.05}]},
    "order of letters": {"adapters": [{"method": "lora", "targets": "DUVKQ"}]},
    "names for letters": {
        "adapters": [{"method": "lora", "targets": ["v_proj", "k_proj", "q_proj", "up_proj", "down_proj"]}]
    },
    "micro-batch": {"train": {"micro_batch_size": 2}},
    "gradient checkpointing": {"train": {"gradient_checkpointing": True}},
    "scoring batch": {"score": {"batch_size": 3, "store_outputs": "none"}},
    "merging for scoring": {"score": {"merge": "never"}},
    "tasks": {"tasks": ["micro_two_way"]},
    "name": {"name": "other"},
    "keep": {"keep": True},
    "whole number": {"train": {"epochs": 1.0}},
}


@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_id(experiment, change):
    assert ids(experiment(**SAME[change])) == ids(experiment())


def test_neither_the_file_nor_the_order_of_fields_counts(experiment, folder):
    before = ids(experiment())
    text = yaml.safe_dump(yaml.safe_load((folder / "small.yaml").read_text()), sort_keys=True)
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "other.yaml").write_text(text)

    assert ids(load_experiment("elsewhere/other.yaml")) == before


ADAPTER = {
    "seed": {"seeds": [1]},
    "learning rate": {"train": {"learning_rate": 1e-3}},
    "batch size": {"train": {"batch_size": 8}},
    "steps": {"train": {"steps": 5}},
    "rank": {"adapters": [{"method": "lora", "r": 8}]},
    "method": {"adapters": [{"method": "dora"}]},
    "targets": {"adapters": [{"method": "lora", "targets": "QKV"}]},
    "share of the data": {"data": {"train": "micro", "fraction": 0.5}},
    "data": {"data": {"train": "boolq"}},
    "dtype": {"base": {"model": "micro-llama", "dtype": "bfloat16"}},
    "model": {"base": {"model": "smollm2-135m", "dtype": "float32"}},
    "prompt": {"prompt": "none"},
}


@pytest.mark.parametrize("change", ADAPTER)
def test_what_changes_the_adapter_changes_both_ids(experiment, change):
    before, after = ids(experiment()), ids(experiment(**ADAPTER[change]))
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_what_an_optimizer_and_a_callback_are_given_counts(experiment, write):
    head = "method: mine\nconfig_class: peft:LoraConfig\nparams: {ratio: 16, every: 2}\n"
    args = "optimizer: {class: 'a.b:make', args: {ratio: '${ratio}'}}\n"
    called = "callbacks: [{class: 'a.b:C', args: {every: '${every}'}}]\n"
    write("adapters/mine.yaml", head + args + called)
    mine = {"method": "mine"}
    (found,) = expand(experiment(adapters=[mine]))

    assert (found.adapter.optimizer_args, found.adapter.callbacks[0]["args"]) == ({"ratio": 16}, {"every": 2})
    changed = [ids(experiment(adapters=[mine | more])) for more in ({}, {"ratio": 4}, {"every": 3})]
    assert len({train_id for train_id, _ in changed}) == 3


@pytest.mark.parametrize("score", [{"limit": 5}, {"decoding": {"beams": 4}}, {"decoding": {"sample": True}}])
def test_the_scoring_protocol_changes_the_run_id_alone(experiment, score):
    before, after = ids(experiment()), ids(experiment(score=score))
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_the_content_of_a_local_file_counts_and_not_its_name(experiment, folder):
    found = {}
    for name, text in (("a.json", "[1]"), ("b.json", "[1]"), ("c.json", "[2]")):
        (folder / name).write_text(text)
        found[name] = ids(experiment(data={"train": {"path": name}}))
    (folder / "b.json").write_text("[3, 4]")

    assert found["a.json"] == found["b.json"] != found["c.json"]
    assert ids(experiment(data={"train": {"path": "b.json"}})) != found["b.json"]


def test_the_text_of_a_prompt_counts_and_not_its_name(experiment, monkeypatch):
    clean = prompts.prompt("llm_adapters")
    changed = {
        "llm_adapters": prompts.Prompt("llm_adapters", "new {{ instruction }}", "new {{ instruction }}"),
        "renamed": prompts.Prompt("renamed", clean.train, clean.score),
    }
    before = ids(experiment())
    monkeypatch.setattr(prompts, "prompts", lambda: changed)

    assert ids(experiment(prompt="renamed")) == before
    assert ids(experiment())[0] != before[0]


def test_the_bare_model_is_the_same_whatever_is_trained(experiment):
    bare = {"adapters": [{"method": "none"}]}
    others = {"seeds": [7], "train": {"steps": 3}, "data": {"train": "boolq"}}

    assert ids(experiment(**bare)) == ids(experiment(**bare, **others))
    assert ids(experiment(**bare)) != ids(experiment(**bare, score={"limit": 5}))
