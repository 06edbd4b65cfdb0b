"""The hint that follows a name that nobody knows."""

from __future__ import annotations

import pytest

from harness.adapters.catalogue import find_methods
from harness.errors import ELSEWHERE, nearest
from harness.spec.schema import BaseSpec, DataSpec, ScoreSpec, TrainSpec


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("lroa", ["lora", "road", "loha", "dora"], "lora"),
        ("lr", ["learning_rate", "lora"], "learning_rate"),
        ("train.lr", ["train.learning_rate"], "train.learning_rate"),
        ("fmt", ["format", "path"], "format"),
        ("rank", ["r", "train", "alpha"], "r"),
        ("adapter.rank", ["adapter.r", "train.steps"], "adapter.r"),
        ("max_steps", ["eval_steps", "steps", "warmup_steps"], "steps"),
        ("train.max_steps", ["train.eval_steps", "train.steps"], "train.steps"),
        ("micro_two_wya", ["micro_two_way", "micro_true_false"], "micro_two_way"),
    ],
)
def test_the_name_that_is_meant(name, known, meant):
    assert nearest(name, known) == f"did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("name", "known"), [("rank", ["train", "alpha"]), ("max_steps", ["eval_steps"]), ("", ["a"]), ("x" * 300, ["x"])]
)
def test_a_name_that_is_like_none_is_answered_with_all(name, known):
    assert nearest(name, known) == f"allowed: {', '.join(sorted(known))}"


def test_names_of_other_libraries_mean_fields_that_there_are():
    fields = {name for model in (BaseSpec, DataSpec, ScoreSpec, TrainSpec) for name in model.model_fields}
    params = {name for method in find_methods().methods.values() for name in method.params}
    assert set(ELSEWHERE.values()) <= fields | params
    assert not set(ELSEWHERE) & fields


@pytest.mark.parametrize(
    ("fields", "field", "meant"),
    [
        ({"adapters": [{"method": "lora", "rank": 8}]}, "adapters[0].rank", "r"),
        ({"adapters": [{"method": "lroa"}]}, "adapters[0].method", "lora"),
        ({"train": {"max_steps": 8}}, "train.max_steps", "steps"),
        ({"matrix": {"adapter.rank": [8]}}, "matrix.adapter.rank", "adapter.r"),
    ],
)
def test_an_experiment_in_the_words_of_other_libraries(problems, fields, field, meant):
    assert problems(**fields)[field].endswith(f", did you mean {meant!r}?")
