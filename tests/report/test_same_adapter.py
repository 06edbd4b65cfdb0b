"""Which row of ours a published one is about, and what is about none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.report.published.comparison import comparison
from harness.report.published.render import FORMATS
from harness.spec.run import AdapterRef

from .paper import (
    OF_THE_PAPER,
    ONLY_MATRIX,
    changed,
    measured,
    paper_run,
    row,
)


@pytest.mark.parametrize(
    ("params", "labels"),
    [
        (OF_THE_PAPER, {"DenseLoRA**", "LoRA - / DenseLoRA QKVUD", "DenseLoRA"}),
        ({"r": 16, "alpha": 32}, {"DenseLoRA*"}),
        ({"alpha": 32}, set()),
        ({"targets": "QKV"}, {"LoRA - / DenseLoRA QKV"}),
        (ONLY_MATRIX, {"- Only Matrix (no activation)"}),
        (OF_THE_PAPER | {"activation": "relu"}, set()),
        (OF_THE_PAPER | {"decoder_activation": "identity"}, set()),
        (OF_THE_PAPER | {"decoder_activation": "gelu"}, {"DenseLoRA**", "LoRA - / DenseLoRA QKVUD", "DenseLoRA"}),
        (ONLY_MATRIX | {"decoder_activation": "identity"}, {"- Only Matrix (no activation)"}),
        (OF_THE_PAPER | {"train_encoder_decoder": False}, set()),
    ],
)
def test_only_the_row_with_the_same_parameters_is_ours(database, store, params, labels):
    measured(database, paper_run(**params))
    beside = [each for table in comparison(store).tables for each in table.rows if each.ours]

    assert {each.row.label for each in beside} == labels


def test_a_better_variant_does_not_stand_in_for_what_the_row_is_about(database, store):
    asked_for, variant = paper_run(**OF_THE_PAPER), paper_run(**ONLY_MATRIX)
    measured(database, asked_for, off=-2)
    measured(database, variant)

    assert row(store, "DenseLoRA**").ours.run_ids == (asked_for.spec.run_id,)
    assert row(store, "- Only Matrix (no activation)", "Table 4").ours.run_ids == (variant.spec.run_id,)


@pytest.mark.parametrize("ranks", [(8, 4), (4, 8)])
def test_of_rows_equally_near_the_one_of_more_seeds_is_shown_however_it_did(database, store, ranks):
    few = [changed(paper_run("lora", r=ranks[0]), seed=seed) for seed in (0, 1)]
    many = [changed(paper_run("lora", r=ranks[1]), seed=seed) for seed in (0, 1, 2)]
    measured(database, *few)
    measured(database, *many, off=-5)
    source = [each for each in comparison(store).tables if each.source.key == "llm_adapters"]
    found = [each for table in source for each in table.rows if each.ours]
    assert {each.row.adapter for each in found} == {None}, "the source tells the method only"
    assert {(each.matches, each.ours.seeds) for each in found} == {(2, 3)}


def test_what_gives_way_to_a_nearer_row_is_listed(database, store):
    near, far = paper_run("lora", r=4), replace(paper_run("lora", r=8), label="lora r=8")
    measured(database, *(changed(near, seed=seed) for seed in (0, 1)), far)
    (found,) = (each for each in comparison(store).alone if each.label == "lora r=8")

    assert found.run_ids == (far.spec.run_id,)
    assert found.nearest is not None


def test_what_no_row_asks_for_is_listed_with_its_departures_from_the_nearest(database, store):
    far = replace(paper_run(r=50, alpha=100, **OF_THE_PAPER), label="denselora r=50")
    measured(database, far, paper_run("bone"), paper_run())
    measured(database, changed(paper_run("none"), data=None, train=None, seed=None))
    found = {each.label: each for each in comparison(store).alone}

    assert {label: each.nearest for label, each in found.items()} == {
        "denselora r=50": "DenseLoRA* (denselora, Table 1)", "bone": None,
    }  # fmt: skip
    assert [str(each) for each in found["denselora r=50"].departures] == ["r 50 (16)", "alpha 100 (32)"]
    variant = replace(paper_run(**OF_THE_PAPER | {"decoder_activation": "identity"}), label="variant")
    measured(database, variant)
    (told,) = (each for each in comparison(store).alone if each.label == "variant")
    assert [str(each) for each in told.departures] == ["decoder_activation identity (gelu)"]
    text = FORMATS["table"](comparison(store))
    assert "bone (commonsense, meta-llama/Meta-Llama-3-8B): no row has its method" in text
    assert comparison(store, benchmark="arithmetic").alone == ()


def test_letters_may_stand_in_any_order(database, store):
    measured(database, paper_run(targets="DUVKQ"))
    assert row(store, "DenseLoRA**").ours is not None


def test_a_mixture_is_its_parts(database, store):
    def part(method: str, targets: str) -> AdapterRef:
        params = {"r": 32, "alpha": 64, "dropout": 0.05, "targets": targets}
        return AdapterRef(method=method, config_class=method, params=params, config=params)

    parts = (part("denselora", "UD"), part("lora", "QKV"))
    measured(database, changed(paper_run(), adapter=AdapterRef(method="mixed", parts=parts)))

    found = row(store, "LoRA QKV / DenseLoRA UD", "Table 8").ours
    assert found is not None
    assert found.departures == ()
    assert row(store, "LoRA UD / DenseLoRA QKV", "Table 8").ours is None
