"""The matrix: crossed, zipped, excluded."""

from __future__ import annotations

import json
import re

import pytest

from harness import expand
from harness.cli.main import cli
from harness.spec.grid import idle_rules, points


def table(found, *fields):
    """The runs' values of some fields, written as in a matrix."""
    return [tuple(value(run, field) for field in fields) for run in expand(found)]


def value(run, field):
    section, _, name = field.partition(".")
    if section == "adapter":
        return run.adapter.method if name == "method" else run.adapter.params.get(name)
    return getattr(getattr(run, section), name) if getattr(run, section) else None


def test_axes_are_crossed_in_the_order_of_the_file(experiment):
    found = experiment(matrix={"adapter.r": [4, 8], "data.fraction": [0.1, 1.0]})

    assert table(found, "adapter.r", "data.fraction") == [(4, 0.1), (4, 1.0), (8, 0.1), (8, 1.0)]


def test_zipped_axes_move_together(experiment):
    found = experiment(matrix={"zip": [{"train.learning_rate": [1e-4, 3e-4], "train.epochs": [4, 2]}]})

    assert table(found, "train.learning_rate", "train.epochs") == [(1e-4, 4), (3e-4, 2)]


def test_a_rule_excludes_the_points_with_all_its_values(experiment):
    adapters = [{"method": "lora"}, {"method": "dora"}]
    rule = {"adapter.method": "lora", "data.fraction": 0.1}
    found = experiment(adapters=adapters, matrix={"data.fraction": [0.1, 1.0], "exclude": [rule]})

    assert table(found, "adapter.method", "data.fraction") == [("dora", 0.1), ("lora", 1), ("dora", 1)]


@pytest.mark.parametrize(
    ("rule", "field", "message"),
    [
        (
            {"adapter.method": "lorra"},
            "matrix.exclude[0].adapter.method",
            "no adapter has the method 'lorra', did you mean 'lora'?",
        ),
        (
            {"adapter.method": ["lora"]},
            "matrix.exclude[0].adapter.method",
            "no adapter has the method ['lora'], allowed: dora, lora",
        ),
    ],
)
def test_a_rule_of_a_method_that_no_adapter_is(problems, rule, field, message):
    adapters = [{"method": "lora"}, {"method": "dora"}]
    rules = [rule, {"adapter.method": "dora", "data.fraction": 0.1}]
    assert problems(adapters=adapters, matrix={"data.fraction": [0.1, 1.0], "exclude": rules}) == {field: message}


@pytest.mark.parametrize("rule", [{"adapter.method": "vera"}, {"adapter.method": "lora", "data.fraction": 0.2}])
def test_of_a_rule_that_takes_out_nothing_validate_warns(experiment, rule, capsys):
    adapters, used = [{"method": "lora"}, {"method": "dora"}], {"adapter.method": "dora", "data.fraction": 0.1}
    found = experiment(adapters=adapters, matrix={"data.fraction": [0.1, 1.0], "exclude": [used, rule]})
    assert [(told.field, told.message) for told in idle_rules(found)] == [("matrix.exclude[1]", "takes out no point")]

    cli.main(["validate", found.path], standalone_mode=False)
    told = capsys.readouterr()
    assert told.out == f"{found.path}: valid\n"
    assert re.fullmatch(rf"warning: {found.path}:\d+ matrix.exclude\[1\]: takes out no point\n", told.err)
    cli.main(["validate", "--json", found.path], standalone_mode=False)
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert warning["field"] == "matrix.exclude[1]"


def test_a_rule_may_take_out_nothing_at_another_scale_or_after_set(experiment):
    adapters, rule = [{"method": "lora"}, {"method": "dora"}], {"adapter.method": "lora", "data.fraction": 0.1}
    fields = {"adapters": adapters, "matrix": {"data.fraction": [0.1, 1.0], "exclude": [rule]}}
    assert idle_rules(experiment("data.fraction=1.0", **fields)) == []
    small = experiment(profile="tiny", profiles={"tiny": {"adapters": [{"method": "dora"}]}}, **fields)
    assert idle_rules(small) == []


def test_a_rule_sees_defaults_and_values_outside_the_matrix(experiment):
    adapters = [{"method": "lora"}, {"method": "lora", "r": 8}]
    rules = [{"adapter.r": 16, "train.batch_size": 16, "prompt": "none"}, {"adapter.r": 8, "seed": 1}]
    found = experiment(adapters=adapters, seeds=[0, 1], matrix={"prompt": ["none", "chat"], "exclude": rules})

    assert [(run.adapter.params["r"], run.prompt.name, run.seed) for run in expand(found)] == [
        (8, "none", 0), (16, "chat", 0), (16, "chat", 1), (8, "chat", 0),
    ]  # fmt: skip


def test_adapters_without_the_parameter_are_not_multiplied(experiment):
    adapters = [{"method": "lora"}, {"method": "vera"}, {"method": "none"}]
    found = experiment(adapters=adapters, matrix={"adapter.alpha": [16, 32]})

    assert table(found, "adapter.method", "adapter.alpha") == [
        ("lora", 16), ("vera", None), ("none", None), ("lora", 32),
    ]  # fmt: skip


def test_the_parts_of_a_mixture_are_set_where_they_have_the_parameter(experiment):
    parts = [{"method": "lora", "targets": "QKV"}, {"method": "denselora", "targets": "UD"}]
    found = experiment(adapters=[{"mixed": parts}], matrix={"adapter.r": [4, 8], "adapter.activation": ["silu"]})

    params = [[part.params for part in run.adapter.parts] for run in expand(found)]
    assert [[part["r"] for part in run] for run in params] == [[4, 4], [8, 8]]
    assert [[part["alpha"] for part in run] for run in params] == [[8, 8], [16, 16]]
    assert all("activation" not in run[0] and run[1]["activation"] == "silu" for run in params)


def test_points_that_are_equal_are_one_run(experiment):
    found = experiment(adapters=[{"method": "lora"}, {"method": "lora", "r": 16}], seeds=[0, 0], matrix={})
    assert len(expand(found)) == 1
    found = experiment(matrix={"train.micro_batch_size": [1, 2], "score.batch_size": [1, 2]})
    assert len(expand(found)) == 1


def test_the_command_line_overrules_the_matrix(experiment):
    matrix = {"train.learning_rate": [1e-4, 1e-3], "data.fraction": [0.1, 0.2], "prompt": ["none", "chat"]}
    found = experiment("train.learning_rate=0.5", "data.fraction=1.0", "prompt=none", matrix=matrix)

    assert table(found, "train.learning_rate", "data.fraction") == [(0.5, 1.0)]


def test_rows_are_called_after_what_they_differ_in(experiment):
    adapters = [
        {"method": "none"},
        {"method": "lora", "r": 8},
        {"method": "lora", "r": 16, "label": "Sixteen"},
        {"method": "dora", "train": {"learning_rate": 1e-3}},
        {"method": "dora"},
        {"mixed": [{"method": "lora", "targets": "Q"}, {"method": "dora", "targets": "U"}]},
    ]
    labels = [point.label for point in points(experiment(adapters=adapters))]

    assert labels == [
        "none",
        "lora r=8",
        "Sixteen",
        "dora learning_rate=0.001",
        "dora learning_rate=0.0003",
        "lora+dora",
    ]


def test_a_given_label_names_the_axes(experiment):
    found = experiment(adapters=[{"method": "lora", "label": "Mine"}], matrix={"data.fraction": [0.1, 1.0]})
    assert [point.label for point in points(found)] == ["Mine fraction=0.1", "Mine fraction=1"]


def test_every_problem_of_a_matrix_is_told_at_once(problems):
    found = problems(
        nme=1,
        matrix={
            "adapter.q": [1],
            "train.lr": [1],
            "train.steps": 5,
            "zip": [{"train.learning_rate": [1, 2], "train.epochs": [1]}],
            "exclude": [{"adapter.methd": 1}],
        },
    )
    assert found == {
        "nme": "unknown field, did you mean 'name'?",
        "matrix.adapter.q": "no adapter has this parameter, did you mean 'adapter.r'?",
        "matrix.train.lr": "unknown field, did you mean 'train.learning_rate'?",
        "matrix.train.steps": "must be a list of values, got 5",
        "matrix.zip[0]": "needs lists of one length, got {'train.learning_rate': 2, 'train.epochs': 1}",
        "matrix.exclude[0].adapter.methd": "unknown field, did you mean 'adapter.method'?",
    }


def test_every_value_of_a_matrix_is_checked(problems):
    matrix = {"adapter.r": [4, 0], "train.learning_rate": [[1]], "base.model": ["nope"], "prompt": ["non", 3]}
    assert list(problems(matrix=matrix)) == [
        "matrix.adapter.r[1]", "matrix.train.learning_rate[0]", "matrix.base.model[0]", "matrix.prompt[0]",
        "matrix.prompt[1]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("matrix", "field", "message"),
    [
        ({"exclude": [{"adapter.method": "lora"}]}, "matrix.exclude", "excludes every run of the experiment"),
        ({"exclude": [{}]}, "matrix.exclude[0]", "must not be empty: it would exclude everything"),
        ({"zip": [{}]}, "matrix.zip[0]", "must not be empty"),
        ({"adapter.r": [4], "zip": [{"adapter.r": [8]}]}, "matrix.zip[0].adapter.r", "is an axis already"),
        ({"zip": [{"adapter.r": [4]}, {"adapter.r": [8]}]}, "matrix.zip[1].adapter.r", "is an axis already"),
        ({"adapter.alpha": [4, "0r"]}, "matrix.adapter.alpha[1]", "must be above 0, got 0 from '0r' (lora)"),
    ],
)
def test_a_matrix_that_means_nothing(problems, matrix, field, message):
    assert problems(matrix=matrix) == {field: message}


def test_rows_are_told_apart_by_what_a_reader_knows_of_an_axis(experiment, write):
    write("a.json", "[]")
    axes = {"data.train": ["micro", {"path": "a.json"}], "score.decoding": ["greedy", {"beams": 4}]}
    labels = [point.label for point in points(experiment(matrix=axes))]

    assert labels == [
        "lora train=micro decoding=greedy",
        "lora train=micro decoding=4 beams",
        "lora train=a.json decoding=greedy",
        "lora train=a.json decoding=4 beams",
    ]


def test_rows_of_several_prompts_are_told_apart(experiment):
    found = experiment(matrix={"prompt": ["llm_adapters", "none"]})
    assert [point.label for point in points(found)] == ["lora prompt=llm_adapters", "lora prompt=none"]
