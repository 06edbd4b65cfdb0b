"""The same experiment, however it is written, is the same runs; a run that differs in what counts is another."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from harness import expand, load_experiment
from harness.adapters.catalogue import find_methods
from harness.spec import run
from harness.spec.identity import field_class, identified
from harness.spec.run import Frozen, RunSpec
from harness.spec.schema import DataSpec, ScoreSpec, TrainSpec

methods = lru_cache(find_methods)
some = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
many = settings(some, max_examples=1000)

rates = st.floats(1e-6, 1.0)
counts = st.integers(1, 1000)
trains = st.fixed_dictionaries(
    {},
    optional={
        "steps": counts,
        "learning_rate": rates,
        "lr_scheduler": st.sampled_from(["linear", "cosine", "constant"]),
        "warmup_steps": st.one_of(counts, st.floats(0, 0.9)),
        "weight_decay": rates,
        "batch_size": counts,
        "max_length": counts,
        "loss_on": st.sampled_from(["all", "completion"]),
        "checkpoint": st.sampled_from(["best", "last"]),
        "gradient_checkpointing": st.booleans(),
    },
)
lora = st.fixed_dictionaries(
    {"method": st.sampled_from(["lora", "dora", "denselora"])},
    optional={
        "r": counts,
        "alpha": st.one_of(counts, st.sampled_from(["2r", "0.5r", "1r"])),
        "targets": st.sampled_from(["QKV", "UD", "QKVUD", "all-linear", ["q_proj", "v_proj"]]),
        "dropout": st.floats(0, 0.5),
    },
)
entries = st.one_of(
    st.just({"method": "none"}),
    st.builds(lambda entry, train: {**entry, "train": train}, lora, trains),
    st.builds(
        lambda first, second: {"mixed": [first | {"targets": "QKV"}, second | {"targets": ["up_proj"]}]}, lora, lora
    ),
)
experiments = st.fixed_dictionaries(
    {
        "name": st.just("small"),
        "base": st.fixed_dictionaries(
            {"model": st.just("micro-llama")}, optional={"dtype": st.sampled_from(["float32", "bfloat16"])}
        ),
        "data": st.fixed_dictionaries(
            {"train": st.just("micro")}, optional={"fraction": rates, "limit": counts, "validation": counts}
        ),
        "adapters": st.lists(entries, min_size=1, max_size=3),
        "tasks": st.sampled_from(["micro", ["micro_two_way", "micro_four_way"]]),
    },
    optional={
        "train": trains,
        "prompt": st.sampled_from(["llm_adapters", "none"]),
        "score": st.fixed_dictionaries(
            {},
            optional={
                "limit": counts,
                "decoding": st.one_of(
                    st.just("greedy"),
                    st.builds(lambda beams: {"beams": beams}, counts),
                    st.builds(lambda k: {"sample": {"top_k": k, "temperature": 0.5}}, counts),
                ),
            },
        ),
        "seeds": st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True),
        "matrix": st.fixed_dictionaries(
            {},
            optional={
                "score.limit": st.lists(counts, min_size=1, max_size=2),
                "train.learning_rate": st.lists(rates, min_size=1, max_size=2),
                "data.fraction": st.lists(rates, min_size=1, max_size=2),
            },
        ),
    },
)


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    """What a section's fields are where they are left out; those that exclude each other aside."""
    plain = {name: field.default for name, field in model.model_fields.items() if not field.is_required()}
    return {name: value for name, value in plain.items() if not isinstance(value, BaseModel)}


DEFAULTS: dict[str, dict[str, Any]] = {
    "base": {"quantization": "none", "dtype": "float32"},
    "data": defaults(DataSpec),
    "train": defaults(TrainSpec) | {"epochs": None},
    "score": defaults(ScoreSpec) | {"decoding": "greedy"},
}
TOP = {"prompt": "llm_adapters", "seeds": [0], "matrix": {}, "same_recipe": False, "keep": False, "tasks_path": None}


def rewritten(asked: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """The same experiment: some defaults written out, keys in another order, numbers in another form."""
    asked = deepcopy(asked)
    for section, fields in DEFAULTS.items():
        if dice.random() < 0.7:
            block = asked.setdefault(section, {})
            block.update({name: value for name, value in fields.items() if name not in block and dice.random() < 0.7})
    asked.update({name: value for name, value in TOP.items() if name not in asked and dice.random() < 0.5})
    return reordered(asked, dice)


def reordered(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key], dice) for key in dice.sample(list(value), len(value))}
    if isinstance(value, list):
        return [reordered(child, dice) for child in value]
    if isinstance(value, float) and value.is_integer() and dice.random() < 0.5:
        return int(value)
    return value


class Loose(yaml.SafeDumper):
    """Writes each mapping and list as block or flow, each text plain or in quotes, as the dice fall."""

    dice = random.Random(0)

    def represent_mapping(self, tag, mapping, flow_style=None):
        return super().represent_mapping(tag, mapping, flow_style=self.dice.random() < 0.5)

    def represent_sequence(self, tag, sequence, flow_style=None):
        return super().represent_sequence(tag, sequence, flow_style=self.dice.random() < 0.5)

    def represent_scalar(self, tag, value, style=None):
        quoted = tag.endswith(":str")
        return super().represent_scalar(tag, value, style=self.dice.choice(("'", '"', None)) if quoted else style)


def written(asked: dict[str, Any], dice: random.Random) -> str:
    Loose.dice = dice
    if dice.random() < 0.5:  # equal mappings become one anchor and its aliases
        asked = shared(asked, {})
    return yaml.dump(asked, Dumper=Loose, sort_keys=False, width=dice.choice((20, 80, 1000)))


def shared(value: Any, known: dict[str, Any]) -> Any:
    if not isinstance(value, (dict, list)) or not value:
        return value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in list(items):
        value[key] = shared(child, known)
    return known.setdefault(repr(value), value)


def ids(path: str) -> list[tuple[str, str]]:
    return sorted((found.run_id, found.train_id) for found in expand(load_experiment(path, None, (), methods())))


def same_however_written(folder: Path, asked: dict[str, Any], seed: int) -> None:
    dice = random.Random(seed)
    (folder / "plain.yaml").write_text(yaml.safe_dump(asked, sort_keys=False))
    again = rewritten(asked, dice)
    moved = {key: again.pop(key) for key in list(again) if key != "name" and dice.random() < 0.3}
    if moved:
        (folder / "_part.yaml").write_text(written(moved, dice))
        again["extends"] = ["_part.yaml"]
    held = {key: again.pop(key) for key in list(again) if key not in ("name", "extends") and dice.random() < 0.2}
    if held:
        again["profiles"] = {"paper": held}
    (folder / "other.yaml").write_text(written(again, dice))

    assert ids("other.yaml") == ids("plain.yaml")


@some
@given(asked=experiments, seed=st.integers(0, 2**32))
def test_an_experiment_is_the_same_runs_however_it_is_written(folder, asked, seed):
    same_however_written(folder, asked, seed)


@pytest.mark.slow
@many
@given(asked=experiments, seed=st.integers(0, 2**32))
def test_a_thousand_experiments_are_the_same_runs_however_they_are_written(folder, asked, seed):
    same_however_written(folder, asked, seed)


FULL = RunSpec(
    model=run.ModelRef(
        name="m",
        revision="main",
        content="hub:m@main",
        dtype="float32",
        quantization="nf4",
        api=run.ApiRef(protocol="openai-chat", url="http://a", timeout=1.5, max_retries=2),
    ),
    adapter=run.AdapterRef(
        method="mine",
        config_class="a:B",
        config={"r": 4},
        callbacks=({"class": "a:C", "args": {}},),
        trainer="a:D",
        optimizer="a:E",
        optimizer_args={"x": 1},
        parts=(run.AdapterRef(method="part", config={"r": 2}),),
        loads=run.LoadedRef(path="p", revision="r", content="sha256:1", base_model="b", parameters=3),
        params={"r": 4},
        mergeable=True,
    ),
    data=run.DataRef(
        name="d",
        sources=(
            run.SourceRef(
                kind="hub",
                location="l",
                name="n",
                revision="r",
                content="hub:l@r",
                wording=run.WordingRef(instruction="i", answer="a"),
                columns={"input": "x"},
                replace=(("a", "b"),),
                config="c",
                split="s",
            ),
        ),
        limit=5,
        validation=1,
        mix=(run.PartRef(weight=1.5, sources=1),),
    ),
    train=run.TrainSettings(epochs=1.5, steps=2, micro_batch_size=2),
    prompt=run.PromptRef(name="p", train="t", score="s", answer_after="a", max_tokens=5),
    score=run.ScoreSettings(decoding=run.Decoding(beams=2, sample=run.Sampling()), limit=3, tasks_path="t"),
    seed=1,
    tasks=("a",),
    measure=("increments",),
    train_id="t",
    run_id="r",
)
"""A run in which every field says something."""
Step = tuple[str | int, ...]


def fields(value: Any, at: Step = ()) -> Iterator[tuple[Step, type[Frozen], str]]:
    """Every field of a specification, those inside it among them: the way to it, its owner, its name."""
    if isinstance(value, tuple):
        for index, child in enumerate(value):
            yield from fields(child, (*at, index))
    elif isinstance(value, Frozen):
        for name in type(value).model_fields:
            yield (*at, name), type(value), name
            yield from fields(getattr(value, name), (*at, name))


def changed(value: Any, way: Step) -> Any:
    """The specification with another value at the end of the way."""
    if not way:
        return other(value)
    step, rest = way[0], way[1:]
    if isinstance(value, tuple):
        return tuple(changed(child, rest) if index == step else child for index, child in enumerate(value))
    return value.model_copy(update={step: changed(getattr(value, step), rest)})


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, dict):
        return {**value, "another": 1}
    return value[:-1] if isinstance(value, tuple) and value else None


NEVER_MISSING = {("model",), ("adapter",), ("prompt",), ("score",), ("score", "decoding")}
LEAVES = [field for field in fields(FULL) if field[0] not in NEVER_MISSING and field[0][:3] != ("adapter", "parts", 0)]


def value_at(way: Step) -> Any:
    found: Any = FULL
    for step in way:
        found = found[step] if isinstance(step, int) else getattr(found, step)
    return found


def test_the_full_run_leaves_no_field_out():
    owners = {owner for _, owner, _ in fields(FULL)}
    models = {model for model in vars(run).values() if isinstance(model, type) and issubclass(model, Frozen)} - {
        Frozen
    }
    assert owners == models, "a new specification belongs into FULL"
    empty = [way for way, _, _ in LEAVES if value_at(way) in (None, (), {}, "")]
    assert empty == [], "give a new field a value in FULL"


@pytest.mark.parametrize(("way", "owner", "name"), LEAVES, ids=[".".join(map(str, way)) for way, _, _ in LEAVES])
def test_a_field_counts_as_it_is_marked(way, owner, name):
    before, after = identified(FULL), identified(changed(FULL, way))
    differ = (before.train_id != after.train_id, before.run_id != after.run_id)
    role = field_class(owner, name).role
    assert differ == {"identity": (True, True), "scoring": (False, True), "runtime": (False, False)}[role]


def test_a_part_of_a_mixture_counts_too():
    assert identified(changed(FULL, ("adapter", "parts", 0, "config"))).train_id != identified(FULL).train_id
    assert identified(changed(FULL, ("adapter", "parts", 0, "params"))).run_id == identified(FULL).run_id
