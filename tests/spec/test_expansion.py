"""What a run is made of: precedence, recipes, targets, seeds."""

from __future__ import annotations

import json

import pytest

from harness import expand
from harness.errors import SpecError
from harness.spec.grid import points


@pytest.fixture(autouse=True)
def _hungry(write):
    """A method that needs a learning rate of its own."""
    text = "method: hungry\nconfig_class: peft:LoraConfig\nparams: {r: 4}\nconfig: {r: '${r}'}\n"
    write("adapters/hungry.yaml", f"{text}train: {{learning_rate: 0.2, weight_decay: 0.2}}\n")


HUNGRY = {"method": "hungry"}


@pytest.mark.parametrize(
    ("expected", "fields", "changes"),
    [
        (3e-4, {"adapters": [{"method": "lora"}]}, ()),
        (0.1, {"adapters": [{"method": "lora"}], "train": {"learning_rate": 0.1}}, ()),
        (0.2, {"adapters": [HUNGRY], "train": {"learning_rate": 0.1}}, ()),
        (0.1, {"adapters": [HUNGRY], "train": {"learning_rate": 0.1}, "same_recipe": True}, ()),
        (0.3, {"adapters": [{**HUNGRY, "train": {"learning_rate": 0.3}}]}, ()),
        (
            0.4,
            {"adapters": [{**HUNGRY, "train": {"learning_rate": 0.3}}], "matrix": {"train.learning_rate": [0.4]}},
            (),
        ),
        (0.5, {"adapters": [HUNGRY], "matrix": {"train.learning_rate": [0.4]}}, ("train.learning_rate=0.5",)),
    ],
)
def test_hyper_parameters_from_lowest_to_highest(experiment, expected, fields, changes):
    assert [run.train.learning_rate for run in expand(experiment(*changes, **fields))] == [expected]


def test_a_row_that_departs_from_the_recipe_says_how(experiment):
    adapters = [{"method": "lora", "train": {"micro_batch_size": 2}}, HUNGRY, {"method": "none"}]
    plain, hungry, none = points(experiment(adapters=adapters))

    assert hungry.departures == ("learning_rate 0.2 (recipe: 0.0003)", "weight_decay 0.2 (recipe: 0.0)")
    assert plain.departures == none.departures == ()


def test_the_recipe_of_a_point_is_that_of_its_matrix_value(experiment):
    found = points(experiment(matrix={"train.learning_rate": [1e-3, 1e-2]}))
    assert [point.departures for point in found] == [(), ()]


@pytest.mark.parametrize(
    ("model_type", "targets", "expected"),
    [
        ("llama", "QKVUD", ["down_proj", "k_proj", "q_proj", "up_proj", "v_proj"]),
        ("gpt2", "QKVOUD", ["attn.c_proj", "c_attn", "c_fc", "mlp.c_proj"]),
        ("llama", ["v_proj", "q_proj"], ["q_proj", "v_proj"]),
        ("llama", "all-linear", "all-linear"),
    ],
)
def test_targets_become_the_modules_of_the_architecture(experiment, write, model_type, targets, expected):
    write("base/config.json", json.dumps({"model_type": model_type}))
    (run,) = expand(experiment(base={"model": "./base"}, adapters=[{"method": "lora", "targets": targets}]))
    assert run.adapter.config["target_modules"] == expected


@pytest.mark.parametrize(
    ("model_type", "targets", "message"),
    [
        ("gpt2", "QV", "gpt2 keeps QKV in one module, c_attn: name all of them or none"),
        ("gpt2", "G", "gpt2 has no G; it has QKVOUD"),
        ("mamba", "Q", "the letters Q have no meaning for the architecture 'mamba'; list module names"),
    ],
)
def test_letters_that_an_architecture_lacks(problems, write, model_type, targets, message):
    write("base/config.json", json.dumps({"model_type": model_type}))
    found = problems(base={"model": "./base"}, adapters=[{"method": "lora", "targets": targets}])
    assert found == {"adapters[0].targets": message}


def test_alpha_follows_r_in_an_entry_and_in_the_methods_default(experiment):
    adapters = [
        {"method": "lora", "r": 8},
        {"method": "lora", "r": 8, "alpha": "0.5r"},
        {"method": "lora", "alpha": 3},
    ]
    assert [run.adapter.config["lora_alpha"] for run in expand(experiment(adapters=adapters))] == [16, 4, 3]


def test_the_bare_model_is_one_run_for_all_seeds(experiment):
    found = expand(experiment(adapters=[{"method": "none"}, {"method": "lora"}], seeds=[0, 1, 2]))

    assert [(run.adapter.method, run.seed) for run in found] == [("none", None), ("lora", 0), ("lora", 1), ("lora", 2)]
    assert (found[0].data, found[0].train) == (None, None)


def test_the_bare_model_has_seeds_where_answers_are_sampled(experiment):
    score = {"decoding": {"sample": {"temperature": 0.7}}}
    found = expand(experiment(adapters=[{"method": "none"}], seeds=[0, 1], score=score))

    assert [run.seed for run in found] == [0, 1]
    assert len({run.train_id for run in found}) == 1
    assert len({run.run_id for run in found}) == 2


@pytest.mark.parametrize(
    ("decoding", "beams", "temperature"),
    [
        ("greedy", 1, None),
        ({"beams": 4}, 4, None),
        ({"sample": True}, 1, 1.0),
        ({"sample": {"temperature": 0.7}}, 1, 0.7),
    ],
)
def test_decoding_is_greedy_by_beams_or_by_samples(experiment, decoding, beams, temperature):
    (run,) = expand(experiment(score={"decoding": decoding}))
    found = run.score.decoding
    assert (found.beams, found.sample and found.sample.temperature) == (beams, temperature)


def test_a_hub_model_that_was_never_fetched_keeps_its_letters(experiment):
    (run,) = expand(experiment(base={"model": "acme/unknown", "revision": "v1"}))
    assert (run.adapter.config["target_modules"], run.model.content) == ("QKVUD", "hub:acme/unknown@v1")


def test_a_mixture_takes_no_recipe_of_a_method(experiment):
    (run,) = expand(experiment(adapters=[{"mixed": [HUNGRY, {"method": "dora", "targets": "U"}]}]))
    assert (run.adapter.method, run.train.learning_rate) == ("mixed", 3e-4)


def test_an_experiment_is_never_half_expanded(experiment):
    with pytest.raises(SpecError):
        experiment(adapters=[{"method": "lora"}, {"method": "lora", "r": -1}])
