"""Base models by name, directory and hub id."""

from __future__ import annotations

import pytest

from harness.catalog.models import model_entry, model_names
from harness.errors import NotFoundError


@pytest.mark.parametrize("name", model_names())
def test_every_known_model_says_its_architecture_without_weights(name):
    entry = model_entry(name)
    assert entry.config["model_type"] == "llama"
    assert entry.sha256 or entry.source == "hub"


def test_an_alias_is_the_model_itself():
    assert model_entry("llama3-8b") == model_entry("meta-llama/Meta-Llama-3-8B")
    assert model_entry("llama3-8b", "v2").revision == "v2"


def test_a_directory_is_known_by_what_its_files_hold(folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "config.json").write_text('{"model_type": "gpt2"}')
    before = model_entry("mine")
    (folder / "mine" / "notes.md").write_text("not part of the model")
    same = model_entry("mine")
    (folder / "mine" / "model.safetensors").write_text("weights")

    assert (before.source, before.location, before.config) == ("local", str(folder / "mine"), {"model_type": "gpt2"})
    assert before.sha256 == same.sha256 != model_entry("mine").sha256


def test_a_hub_model_that_was_never_fetched_is_named_but_not_known():
    entry = model_entry("acme/unknown", "v1")
    assert (entry.source, entry.revision, entry.config) == ("hub", "v1", None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("micro-lama", "did you mean 'micro-llama'"),
        ("./gone", "no directory here"),
        ("a b/c", "no hub id"),
        ("a/b/c", "no hub id"),
        ("empty", "holds no config.json"),
        ("torn", "can't be read"),
    ],
)
def test_what_is_no_model(folder, name, message):
    (folder / "empty").mkdir()
    (folder / "torn").mkdir()
    (folder / "torn" / "config.json").write_text("{")

    with pytest.raises(NotFoundError, match=message):
        model_entry(name)
