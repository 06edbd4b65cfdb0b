"""Training data of one's own in an experiment: places, columns, mixtures."""

from __future__ import annotations

import hashlib

import pytest

from harness import expand

MIX = [{"train": "micro", "weight": 2}, {"path": "mine.jsonl", "weight": 1}]


def data_of(found):
    (run,) = expand(found)
    return run.data


def test_a_mixture_holds_its_sources_and_weights(experiment, folder):
    (folder / "mine.jsonl").write_text("{}")
    found = data_of(experiment(data={"train": {"mix": MIX}, "validation": 4}))
    assert found.name == "2 micro + 1 mine.jsonl"
    assert [(part.weight, part.sources) for part in found.mix] == [(2, 1), (1, 1)]
    assert [source.kind for source in found.sources] == ["catalog", "path"]
    assert found.sources[1].content == f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    assert found.owners == (0, 1)
    assert found.validation == 4


def test_a_part_with_several_files_is_one_part(experiment):
    found = data_of(experiment(data={"train": {"mix": [{"train": "commonsense_4"}, {"train": "boolq"}]}}))
    assert found.owners == (0, 0, 0, 0, 1)


def ids(experiment, train):
    (run,) = expand(experiment(data={"train": train}))
    return run.train_id


def test_weights_columns_and_the_hubs_parts_are_identity(experiment):
    same = {"mix": [{"train": "micro", "weight": 2.0}, {"path": "mine.jsonl"}]}
    other = {"mix": [{"train": "micro", "weight": 3}, {"path": "mine.jsonl"}]}
    assert ids(experiment, {"mix": MIX}) == ids(experiment, same) != ids(experiment, other)
    hub = {"hub": "a/b", "config": "main", "split": "train", "columns": {"output": "answer"}}
    every = [{name: hub[name] for name in hub if name != left_out} for left_out in ("config", "split", "columns", "")]
    assert len({ids(experiment, train) for train in every}) == 4


def test_an_address_with_a_sha256_is_the_same_data_as_the_file(experiment, folder):
    (folder / "x.json").write_text("[]")
    sha256 = hashlib.sha256(b"[]").hexdigest()
    url = {"url": "https://example.org/x.json"}
    assert ids(experiment, {**url, "sha256": sha256}) == ids(experiment, {"path": "x.json"}) != ids(experiment, url)


def test_paths_in_a_mixture_are_relative_to_the_file_that_names_them(experiment, write, folder):
    write("parts/base.yaml", "data: {train: {mix: [{train: micro}, {path: mine.jsonl}]}}")
    found = experiment(extends=["parts/base.yaml"], data={"validation": 3})
    assert data_of(found).sources[1].location == str(folder / "parts" / "mine.jsonl")


def test_a_mixture_replaces_another_source_and_is_replaced(experiment):
    assert data_of(
        experiment("data.train.mix=[{train: micro}, {train: boolq}]", data={"train": {"path": "x.json"}})
    ).mix
    assert data_of(experiment("data.train.path=x.json", data={"train": {"mix": MIX}})).mix == ()


@pytest.mark.parametrize(
    ("train", "field", "message"),
    [
        ({"mix": [*MIX, {"train": "bolq"}]}, "mix[2].train", "unknown data set 'bolq', did you mean 'boolq'?"),
        ({"mix": [*MIX, {"train": "boolq", "weight": 0}]}, "mix[2].weight", "must be above 0, got 0"),
        ({"mix": [*MIX, {}]}, "mix[2]", "needs exactly one of train, path, url and hub"),
        ({"mix": [*MIX, {"train": "boolq", "format": "text"}]}, "mix[2].format", "the catalog says it itself"),
        ({"mix": [*MIX, {"path": "x", "fmt": "text"}]}, "mix[2].fmt", "unknown field, did you mean 'format'?"),
        ({"mix": []}, "mix", "must not be empty, got []"),
        ({"mix": MIX, "path": "x.json"}, "mix", "excludes path, url and hub: name them as parts of it"),
        ({"mix": MIX, "format": "text"}, "format", "belongs to each part of mix"),
        ({"url": "mine.json"}, "url", "must begin with http:// or https://, got 'mine.json'"),
        ({"url": "https://example.org/x.json", "sha256": "0"}, "sha256", "must be 64 hex digits, got '0'"),
        ({"path": "x", "columns": {"answer": "output"}}, "columns", "unknown field 'answer', allowed: input, instruc"),
    ],
)
def test_a_source_that_can_not_be_is_named_where_it_stands(problems, train, field, message):
    found = problems(data={"train": train})
    assert list(found) == [f"data.train.{field}"]
    assert found[f"data.train.{field}"].startswith(message)


@pytest.mark.parametrize("name", ["config", "split", "sha256"])
def test_what_belongs_to_another_place_is_refused(problems, name):
    owner = "url" if name == "sha256" else "hub"
    value = "0" * 64 if name == "sha256" else "x"
    assert problems(data={"train": {"path": "x.json", name: value}}) == {"data.train": f"{name} belongs to {owner}"}
