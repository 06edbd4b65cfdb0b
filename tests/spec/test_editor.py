"""The JSON Schemas for editors: they mark what `harness validate` refuses, and nothing that it takes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from jsonschema import Draft7Validator

from harness.adapters.catalogue import find_methods
from harness.adapters.method import load_method
from harness.cli.main import cli
from harness.errors import SpecError
from harness.located import read_yaml
from harness.paths import builtin_dir
from harness.spec.editor.experiment import experiment_schema
from harness.spec.editor.method import method_schema

from .conftest import SMALLEST
from .test_same_run import experiments, rewritten, some

METHODS = find_methods(builtin_dir("adapters")).methods
EXPERIMENT = Draft7Validator(experiment_schema([*METHODS.values()]))
METHOD = Draft7Validator(method_schema())


def marked(schema: Draft7Validator, data: Any) -> list[str]:
    """The top-level fields that an editor marks."""
    return [".".join(map(str, list(error.absolute_path)[:1])) or error.message for error in schema.iter_errors(data)]


def test_they_are_schemas() -> None:
    Draft7Validator.check_schema(EXPERIMENT.schema)
    Draft7Validator.check_schema(METHOD.schema)


@pytest.mark.parametrize("path", sorted(builtin_dir("experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_our_experiments_and_fragments_have_no_mark(path: Path) -> None:
    assert marked(EXPERIMENT, read_yaml(path).data) == []


def test_our_methods_have_no_mark() -> None:
    for path in sorted(builtin_dir("adapters").glob("*.yaml")):
        assert marked(METHOD, read_yaml(path).data) == [], path.name


@settings(some)
@given(asked=experiments)
def test_no_valid_experiment_has_a_mark(asked: dict[str, Any]) -> None:
    assert marked(EXPERIMENT, asked) == []
    assert marked(EXPERIMENT, rewritten(asked, random.Random(0))) == []
    assert marked(EXPERIMENT, {"profiles": {"small": asked}, "extends": ["_more.yaml"]}) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"trian": {}}, "trian"),
        ({"train": {"lerning_rate": 1e-3}}, "train"),
        ({"train": {"learning_rate": "fast"}}, "train"),
        ({"train": {"optimizer": "adam"}}, "train"),
        ({"train": {"batch_size": 0}}, "train"),
        ({"adapters": []}, "adapters"),
        ({"adapters": [{"method": "lorra"}]}, "adapters"),
        ({"adapters": [{"method": "lora", "rank": 4}]}, "adapters"),
        ({"adapters": [{"method": "lora", "r": 0}]}, "adapters"),
        ({"adapters": [{"method": "lora", "r": 1.5}]}, "adapters"),
        ({"adapters": [{"method": "lora", "targets": "XYZ"}]}, "adapters"),
        ({"adapters": [{"method": "lora", "label": 3}]}, "adapters"),
        ({"adapters": [{"mixed": [{"method": "lora"}]}]}, "adapters"),
        ({"adapters": [{"mixed": [{"method": "lora", "targets": "Q"}, {"method": "vera"}]}]}, "adapters"),
        ({"data": {"train": {"path": "x.json", "format": "alpaka"}}}, "data"),
        ({"score": {"decoding": "beam"}}, "score"),
        ({"score": {"decoding": {"beams": 2, "sampel": True}}}, "score"),
        ({"prompt": "alpacca"}, "prompt"),
        ({"seeds": ["one"]}, "seeds"),
        ({"measure": ["increment"]}, "measure"),
        ({"matrix": {"train.lr": [1e-3]}}, "matrix"),
        ({"matrix": {"train.learning_rate": 1e-3}}, "matrix"),
        ({"matrix": {"train.batch_size": ["large"]}}, "matrix"),
        ({"matrix": {"train.batch_size": [8], "exclude": [{"train.batchsize": 8}]}}, "matrix"),
        ({"select": {"over": {"train.max_length": [64]}}}, "select"),
        ({"select": {"over": {"train.learning_rate": [1e-3]}, "by": "test_accuracy"}}, "select"),
        ({"profiles": {"small": {"trian": {}}}}, "profiles"),
    ],
)
def test_a_mistake_is_marked_where_validate_tells_it(experiment: Any, changes: dict[str, Any], field: str) -> None:
    assert marked(EXPERIMENT, SMALLEST | changes) == [field] or field in str(marked(EXPERIMENT, SMALLEST | changes))
    with pytest.raises(SpecError) as refused:
        experiment(profile=next(iter(changes.get("profiles", {})), None), **changes)
    assert any(problem.field.split(".")[0].split("[")[0] in (field, "trian") for problem in refused.value.problems)


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"r": {"min": 1}}},
        {"params": {"r": {"default": 1, "mni": 1}}},
        {"params": {"label": "x"}},
        {"config_class": "LoraConfig"},
        {"family": "low rank"},
        {"trains": "some"},
        {"limits": {"merge": "no"}},
        {"paper": {"year": "2024"}},
        {"callbacks": [{"args": {}}]},
        {"mergeable": "yes"},
        {"title": 3},
        {"parms": {}},
    ],
    ids=lambda change: str(change),
)
def test_a_mistake_in_a_method_is_marked_and_refused(folder: Path, change: dict[str, Any]) -> None:
    mine = {"method": "mine", "config_class": "peft:LoraConfig"} | change
    assert marked(METHOD, mine)
    path = folder / "mine.yaml"
    path.write_text(json.dumps(mine))
    with pytest.raises(SpecError):
        load_method(path)


def test_the_command_knows_your_own_methods(folder: Path) -> None:
    (folder / "own").mkdir()
    text = "method: mine\nconfig_class: peft:LoraConfig\nparams: {width: {default: 4, max: 8, help: how wide}}\n"
    (folder / "own" / "mine.yaml").write_text(text)
    done = CliRunner().invoke(cli, ["--adapters", "own", "schema", "--output", "experiment.json"])
    assert (done.exit_code, done.stdout) == (0, "")
    schema = Draft7Validator(json.loads((folder / "experiment.json").read_text()))
    assert marked(schema, SMALLEST | {"adapters": [{"method": "mine", "width": 8}]}) == []
    assert marked(schema, SMALLEST | {"adapters": [{"method": "mine", "width": 9}]}) == ["adapters"]

    printed = CliRunner().invoke(cli, ["schema", "method"]).stdout
    assert json.loads(printed) == METHOD.schema
    failed = CliRunner().invoke(cli, ["schema", "--output", "no/where.json"])
    assert str(failed.exception) == "--output no/where.json: No such file or directory"
