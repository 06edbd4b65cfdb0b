"""Tuning in a specification: which points an adapter may have, which is chosen, and what is refused."""

from __future__ import annotations

import json

import pytest
import yaml

from harness.adapters.catalogue import find_methods
from harness.errors import SpecError
from harness.spec.grid import expand, points, tunings
from harness.spec.load import load_experiment
from harness.spec.tuning import Tried, tuned

RATES = {"over": {"train.learning_rate": [1e-3, 1e-2, 1e-1]}}
DATA = {"train": "micro", "validation": 20}


@pytest.fixture(scope="module")
def built_in():
    """The methods that come with the harness, read once."""
    return find_methods()


@pytest.fixture(autouse=True)
def read_once(built_in, monkeypatch):
    monkeypatch.setattr("harness.spec.load.find_methods", lambda: built_in)


def trying(found):
    return [point for point in points(found) if point.role == "tuning"]


def results(found, *values, metric="loss"):
    """What is recorded once the runs that tune have ended with these values, in their order; None failed."""
    made = [Tried({}, "diverged: loss is nan") if value is None else Tried({metric: value}) for value in values]
    return {point.run.run_id: tried for point, tried in zip(trying(found), made, strict=True)}


def chosen(found, *values, **named):
    return [point for point in points(found, results(found, *values, **named)) if point.role == "tuned"]


def test_every_point_is_tried_with_the_seeds_of_select_on_validation_examples_alone(experiment):
    found = experiment(data=DATA, select=RATES | {"seeds": [7, 8]}, seeds=[0, 1])
    assert [(p.run.train.learning_rate, p.run.seed) for p in trying(found)] == [
        (1e-3, 7), (1e-3, 8), (1e-2, 7), (1e-2, 8), (1e-1, 7), (1e-1, 8),
    ]  # fmt: skip
    assert {p.run.tasks for p in trying(found)} == {("data.validation",)}
    assert expand(found) == tuple(p.run for p in trying(found))


def test_the_chosen_point_runs_as_if_it_had_been_written_by_hand(experiment):
    by_hand = experiment(data=DATA, seeds=[0, 1], train={"learning_rate": 1e-2})
    found = experiment(data=DATA, seeds=[0, 1], select=RATES)
    runs = chosen(found, 3.0, 1.0, 2.0)
    assert [p.run.model_dump() for p in runs] == [run.model_dump() for run in expand(by_hand)]
    assert [(p.label, p.departures) for p in runs] == [("lora", ())] * 2


def test_runs_that_tune_are_the_same_whatever_the_tasks_and_how_they_are_scored(experiment):
    first = trying(experiment(data=DATA, select=RATES))
    other = {"decoding": {"beams": 4}, "limit": 5, "store_outputs": "none"}
    changed = experiment(data=DATA, select=RATES, score=other, tasks=["micro_true_false"])
    assert [p.run.run_id for p in trying(changed)] == [p.run.run_id for p in first]
    assert points(changed, results(changed, 1.0, 2.0, 3.0))[-1].run.score.limit == 5


def test_an_adapter_is_tuned_over_what_it_has(experiment):
    adapters = [{"method": "none"}, {"method": "lora", "alpha": "2r"}, {"method": "ia3"}]
    found = experiment(
        data=DATA, adapters=adapters, select={"over": {"train.learning_rate": [1e-3, 1e-2], "adapter.r": [2, 4]}}
    )
    assert [(p.label, p.run.adapter.config.get("lora_alpha")) for p in points(found)] == [
        ("none", None),
        ("lora tuning learning_rate=0.001 r=2", 4),
        ("lora tuning learning_rate=0.001 r=4", 8),
        ("lora tuning learning_rate=0.01 r=2", 4),
        ("lora tuning learning_rate=0.01 r=4", 8),
        ("ia3 tuning learning_rate=0.001", None),
        ("ia3 tuning learning_rate=0.01", None),
    ]


def test_zip_goes_through_its_lists_together(experiment):
    found = experiment(
        data=DATA, select={"over": {"zip": [{"train.learning_rate": [1e-3, 1e-2], "adapter.r": [8, 4]}]}}
    )
    assert [(p.run.train.learning_rate, p.run.adapter.params["r"]) for p in trying(found)] == [(1e-3, 8), (1e-2, 4)]


def test_an_adapter_with_one_point_has_nothing_to_choose(experiment):
    adapters = [{"method": "ia3"}, {"method": "lora"}]
    found = experiment(data=DATA, adapters=adapters, select={"over": {"adapter.r": [2, 4, 2]}}, seeds=[0, 1])
    assert [(p.role, p.label, p.run.seed) for p in points(found)] == [
        ("run", "ia3", 0),
        ("run", "ia3", 1),
        ("tuning", "lora tuning r=2", 100),
        ("tuning", "lora tuning r=4", 100),
    ]


def test_a_value_forced_on_the_command_line_leaves_nothing_to_choose(experiment):
    found = experiment("train.learning_rate=0.5", data=DATA, select=RATES)
    assert [(p.role, p.run.train.learning_rate) for p in points(found)] == [("run", 0.5)]


def test_the_matrix_is_crossed_with_what_is_tuned(experiment):
    found = experiment(data=DATA, select=RATES, matrix={"data.fraction": [0.5, 1.0]})
    assert [row.label for row in tunings(found)] == ["lora fraction=0.5", "lora fraction=1"]
    best = chosen(found, 1.0, 2.0, 3.0, 3.0, 2.0, 1.0)
    assert [(p.label, p.run.train.learning_rate) for p in best] == [
        ("lora fraction=0.5", 1e-3),
        ("lora fraction=1", 0.1),
    ]


def test_rules_of_exclude_take_out_points_that_are_tuned(experiment):
    rule = {"adapter.method": "lora", "train.learning_rate": 1e-2}
    found = experiment(data=DATA, select=RATES, matrix={"exclude": [rule]})
    assert [p.run.train.learning_rate for p in trying(found)] == [1e-3, 1e-1]


def test_rows_that_are_only_scored_differently_share_the_runs_that_tune(experiment):
    found = experiment(data=DATA, select=RATES, matrix={"score.limit": [5, 10]})
    assert [[group["label"] for group in p.tuning["groups"]] for p in trying(found)] == [
        ["lora limit=5", "lora limit=10"]
    ] * 3
    assert [(p.label, p.run.score.limit) for p in chosen(found, 2.0, 1.0, 3.0)] == [
        ("lora limit=5", 5),
        ("lora limit=10", 10),
    ]


@pytest.mark.parametrize(
    ("by", "metric", "values", "expected"),
    [
        ("validation_loss", "loss", (2.0, 1.0, 3.0), 1e-2),
        ("validation_accuracy", "accuracy", (0.2, 0.1, 0.3), 1e-1),
        ("validation_loss", "loss", (2.0, 1.0, 1.0), 1e-2),
        ("validation_accuracy", "accuracy", (0.0, 0.0, 0.0), 1e-3),
        ("validation_loss", "loss", (None, 2.0, 3.0), 1e-2),
    ],
)
def test_the_best_point_is_chosen_and_of_equals_the_first(experiment, by, metric, values, expected):
    found = experiment(data=DATA, select=RATES | {"by": by})
    assert [p.run.train.learning_rate for p in chosen(found, *values, metric=metric)] == [expected]


def test_a_point_counts_the_mean_over_its_seeds_and_fails_with_any_of_them(experiment):
    found = experiment(data=DATA, select=RATES | {"seeds": [7, 8]})
    assert [p.run.train.learning_rate for p in chosen(found, 1.0, 9.0, 4.0, 4.0, 0.0, None)] == [1e-2]


def test_nothing_is_chosen_before_every_point_was_tried(experiment):
    found = experiment(data=DATA, select=RATES)
    done = results(found, 3.0, 1.0, 2.0)
    done.popitem()
    assert [p.role for p in points(found, done)] == ["tuning"] * 3
    assert tunings(found)[0].problem(done) is None


def test_the_row_says_how_many_points_were_tried_and_failed(experiment):
    found = experiment(data=DATA, select=RATES | {"seeds": [7, 8]})
    (point, *_) = chosen(found, 1.0, None, 4.0, 5.0, 6.0, 7.0)
    told = {
        "points": 3,
        "failed": 1,
        "by": "validation_loss",
        "seeds": [7, 8],
        "chosen": {"train.learning_rate": 1e-2},
    }
    assert point.tuning == {"key": point.tuning["key"], "value": 4.5} | told
    assert tuned(point.tuning) == "learning_rate=0.01 by validation_loss 4.5, of 3 points (1 failed) with seeds 7, 8"
    json.dumps(point.tuning)


def test_where_every_point_failed_the_row_has_no_run_but_a_reason(experiment):
    found = experiment(data=DATA, select=RATES)
    done = results(found, None, None, None)
    assert [p.role for p in points(found, done)] == ["tuning"] * 3
    problem = tunings(found)[0].problem(done)
    assert "none of its 3 points has a validation_loss" in problem
    assert "diverged: loss is nan; --retry-failed tries again" in problem


def test_the_command_line_changes_what_is_tuned(experiment):
    found = experiment("select.over.train.learning_rate=[0.5, 0.25]", data=DATA, select=RATES)
    assert [p.run.train.learning_rate for p in trying(found)] == [0.5, 0.25]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"select": RATES}, {"data.validation": "must be above 0, got 0: validation_loss is measured on examples"}),
        ({"over": {"data.fraction": [0.1]}}, {"select.over.data.fraction": "can't be tuned: its points would not be"}),
        ({"over": {"train.max_length": [8]}}, {"select.over.train.max_length": "can't be tuned"}),
        ({"over": {"prompt": ["chat"]}}, {"select.over.prompt": "can't be tuned"}),
        ({"over": {"train.micro_batch_size": [1]}}, {"select.over.train.micro_batch_size": "changes no result"}),
        (
            {"over": {"train.lerning_rate": [1]}},
            {"select.over.train.lerning_rate": "did you mean 'train.learning_rate'"},
        ),
        ({"over": {"adapter.rr": [1, 2]}}, {"select.over.adapter.rr": "no adapter has this parameter"}),
        (
            {"over": {"train.learning_rate": [1e-3, 0]}},
            {"select.over.train.learning_rate[1]": "must be above 0, got 0"},
        ),
        ({"over": {"train.learning_rate": 1e-3}}, {"select.over.train.learning_rate": "must be a list of values"}),
        ({"over": {"adapter.r": [0]}}, {"select.over.adapter.r[0]": "must be at least 1, got 0 (lora)"}),
        ({"over": {"exclude": [{"adapter.r": 2}]}}, {"select.over.exclude": "belongs to matrix"}),
        ({"over": {}}, {"select.over": "must not be empty"}),
        ({"over": [1]}, {"select.over": "must be a mapping"}),
        (
            {"over": {"zip": [{"train.learning_rate": [1, 2], "adapter.r": [2]}]}},
            {"select.over.zip[0]": "needs lists of one length"},
        ),
        ({"over": {"zip": [{"data.limit": [1]}]}}, {"select.over.zip[0].data.limit": "can't be tuned"}),
        (
            {"over": {"adapter.r": [2, 4], "zip": [{"adapter.r": [2, 4]}]}},
            {"select.over.zip[0].adapter.r": "is an axis already"},
        ),
        (RATES | {"by": "validation"}, {"select.by": "unknown value 'validation', did you mean 'validation_loss'"}),
        (RATES | {"seeds": [7, 0]}, {"select.seeds[1]": "0 is one of the experiment's seeds"}),
        (RATES | {"seeds": []}, {"select.seeds": "must not be empty"}),
        (RATES | {"of": 3}, {"select.of": "unknown field"}),
        ({"by": "validation_loss"}, {"select.over": "is required"}),
    ],
)
def test_what_can_not_be_tuned_is_told(problems, fields, expected):
    given = fields if "select" in fields else {"data": DATA, "select": fields}
    found = problems(**given)
    assert found.keys() == expected.keys()
    for field, message in expected.items():
        assert message in found[field]


def test_the_default_seed_of_select_is_none_of_the_experiment(problems):
    assert "100 is one of the experiment's seeds" in problems(data=DATA, select=RATES, seeds=[100])["select.seeds[0]"]


def test_a_field_is_crossed_or_tuned(problems):
    found = problems(data=DATA, select=RATES, matrix={"train.learning_rate": [1e-3]})
    assert found == {"select.over.train.learning_rate": "is an axis of the matrix already"}


def test_accuracy_needs_answers(problems, write):
    write("texts.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in "abcdef"))
    data = {"train": {"path": "texts.jsonl", "format": "text"}, "validation": 2}
    found = problems(data=data, select=RATES | {"by": "validation_accuracy"})
    assert found == {"select.by": "validation_accuracy needs answers, which data of the format text has not"}


def test_too_many_points_are_refused_before_any_is_made(problems):
    many = {"train.learning_rate": [n / 1e6 for n in range(1, 400)], "adapter.r": list(range(1, 400))}
    assert "must make at most" in problems(data=DATA, select={"over": many})["select.over"]


def test_problems_name_the_line_of_the_value(write):
    fields = {"name": "x", "base": {"model": "micro-llama"}, "data": DATA, "adapters": [{"method": "lora"}]}
    text = yaml.safe_dump(fields | {"tasks": "micro"}, sort_keys=False)
    write("x.yaml", text + "select:\n  over:\n    train.learning_rate: [1.0e-3, -1]\n  seeds: [0]\n")
    with pytest.raises(SpecError) as error:
        load_experiment("x.yaml")
    line = text.count("\n")
    assert [(p.line, p.field) for p in error.value.problems] == [
        (line + 3, "select.over.train.learning_rate[1]"),
        (line + 4, "select.seeds[0]"),
    ]
