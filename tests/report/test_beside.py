"""Our rows stand beside the published ones that ask the same, with what separates them told."""

from __future__ import annotations

import json

import pytest

from harness.errors import NotFoundError
from harness.report.leaderboard import leaderboard
from harness.report.published.comparison import comparison
from harness.report.published.recipe import compared, recipe_of
from harness.spec.run import Decoding

from .paper import (
    LLAMA,
    PAPER,
    PAPERS,
    PRINTED,
    PRINTED_ROW,
    SEVEN,
    STDERR,
    TABLE,
    changed,
    measured,
    paper_run,
    row,
)


def test_our_number_stands_beside_the_published_one_with_its_difference_and_interval(database, store):
    measured(database, paper_run(), off=-1.0)
    found = row(store, "DenseLoRA**").ours

    mean = sum(PRINTED.values()) / 8
    spread = 1.96 * 100 * STDERR / 8**0.5
    average = found.average
    assert (average.published, average.ours) == (84.6, pytest.approx(mean - 1))
    assert (average.ci_low, average.ci_high) == pytest.approx((mean - 1 - spread, mean - 1 + spread))
    assert average.difference == pytest.approx(mean - 1 - 84.6)
    assert average.inside is False
    assert found.scores["boolq"].difference == pytest.approx(-1)
    assert found.scores["boolq"].inside is True  # 1.0 off, ± 1.96 points


def test_a_run_of_the_papers_recipe_departs_in_nothing(database, store):
    measured(database, paper_run())
    found = row(store, "DenseLoRA**").ours

    assert (found.departures, found.not_told) == ((), ())
    assert found.average.inside is True


CHANGES = {
    "model tiny (meta-llama/Meta-Llama-3-8B)": ("model", {"name": "tiny"}),
    "dtype bfloat16 (float16)": ("model", {"dtype": "bfloat16"}),
    "quantization nf4 (none)": ("model", {"quantization": "nf4"}),
    "training data micro (commonsense_170k)": ("data", {"name": "micro"}),
    "share of it 100 %, at most 500 examples (100 %)": ("data", {"limit": 500}),
    "validation 0 (120)": ("data", {"validation": 0}),
    "length 3 epochs (2 epochs)": ("train", {"epochs": 3.0}),
    "length 125 steps (2 epochs)": ("train", {"epochs": None, "steps": 125}),
    "learning rate 0.001 (0.0003)": ("train", {"learning_rate": 1e-3}),
    "schedule cosine (linear)": ("train", {"lr_scheduler": "cosine"}),
    "warm-up 0.06 of the steps (100 steps)": ("train", {"warmup_steps": 0.06}),
    "optimizer sgd (adamw)": ("train", {"optimizer": "sgd"}),
    "weight decay 0.1 (0)": ("train", {"weight_decay": 0.1}),
    "gradient clipping 0.5 (1)": ("train", {"max_grad_norm": 0.5}),
    "batch 8 (16)": ("train", {"batch_size": 8}),
    "longest example 512 (256)": ("train", {"max_length": 512}),
    "loss on completion (all)": ("train", {"loss_on": "completion"}),
    "checkpoint last (best)": ("train", {"checkpoint": "last"}),
    "validated every 40 (80)": ("train", {"eval_steps": 40}),
    "dropout 0 (0.05)": ("adapter", {"params": {"r": 32, "alpha": 64, "dropout": 0.0, "targets": "QKVUD"}}),
    "template llm_adapters (llm_adapters_verbatim)": ("prompt", {"name": "llm_adapters"}),
    "decoding greedy (4 beams)": ("score", {"decoding": Decoding()}),
    "test items 100 a task (all)": ("score", {"limit": 100}),
}


@pytest.mark.parametrize("told", CHANGES)
def test_every_departure_from_the_recipe_is_told(told):
    spec = paper_run().spec
    part, values = CHANGES[told]
    ours = spec.model_copy(update={part: getattr(spec, part).model_copy(update=values)})

    found, not_told = compared(PRINTED_ROW, TABLE, recipe_of([PAPERS], PAPERS, TABLE, PRINTED_ROW), ours, seeds=1)
    assert ([str(each) for each in found], not_told) == ([told], ())


def test_more_seeds_than_the_paper_has_are_told(database, store):
    measured(database, *(changed(paper_run(), seed=seed) for seed in (0, 1, 2)))
    found = row(store, "DenseLoRA**").ours

    assert [str(each) for each in found.departures] == ["seeds 3 (1)"]
    assert len(found.run_ids) == found.seeds == 3


def test_a_share_of_the_training_data_is_a_question_of_its_own(database, store):
    run = paper_run()
    assert run.spec.data is not None
    measured(database, changed(run, data=run.spec.data.model_copy(update={"fraction": 0.1})))

    assert row(store, "DenseLoRA 10% of the training data", "Table 7").ours is not None
    assert row(store, "DenseLoRA 20% of the training data", "Table 7").ours is None
    assert row(store, "DenseLoRA**").ours is None


def test_a_benchmark_of_fewer_tasks_is_compared_with_the_mean_over_these(database, store):
    measured(database, paper_run(), tasks=SEVEN, benchmark="commonsense_7")
    found = row(store, "DenseLoRA**").ours

    kept = [value for name, value in PRINTED.items() if name != "hellaswag"]
    assert found.average.published == pytest.approx(sum(kept) / 7)
    assert found.average.difference == pytest.approx(0)
    assert found.scores["hellaswag"].ours is None
    assert [str(each) for each in found.departures] == ["tasks commonsense_7 (commonsense)"]


def test_an_average_without_its_scores_can_not_be_compared_over_fewer_tasks(database, store):
    measured(database, paper_run(), tasks=SEVEN, benchmark="commonsense_7")
    found = row(store, "DenseLoRA", "Table 4").ours

    assert found.average.ours is not None
    assert (found.average.published, found.average.difference, found.average.inside) == (None, None, None)


def test_a_quoted_row_has_the_recipe_of_where_it_comes_from(database, store):
    measured(database, paper_run("dora"))
    found = row(store, "DoRA")

    assert (found.recipe.epochs, found.recipe.learning_rate) == (3, 1e-4)  # the script of DoRA's repository
    assert [str(each) for each in found.ours.departures] == [
        "length 2 epochs (3 epochs)", "learning rate 0.0003 (0.0001)",
    ]  # fmt: skip
    assert found.ours.not_told == ("seeds",)


def test_of_a_row_of_unknown_origin_no_recipe_is_told(database, store):
    measured(database, paper_run("vera", r=256))
    found = row(store, "VeRA")

    assert found.ours.departures == ()
    assert {"parameters", "learning rate", "length", "template", "decoding", "seeds"} <= set(found.ours.not_told)
    assert any("6.18" in doubt for doubt in found.doubts)


def test_of_several_rows_the_one_nearest_to_the_recipe_is_shown(database, store):
    far = changed(paper_run(), train=PAPER.model_copy(update={"learning_rate": 1e-2, "batch_size": 4}))
    near = changed(paper_run(), train=PAPER.model_copy(update={"learning_rate": 1e-3}))
    measured(database, far, near)
    found = row(store, "DenseLoRA**")

    assert found.ours.run_ids == (near.spec.run_id,)
    assert found.matches == 2


def test_an_untrained_model_is_only_compared_with_itself(database, store):
    measured(database, changed(paper_run("none"), data=None, train=None, seed=None))
    assert row(store, "ChatGPT (zero-shot CoT)", model="gpt-3.5-turbo").ours is None


def test_what_is_measured_in_another_way_stands_beside_nothing(database, store):
    measured(database, paper_run("lora"))
    tables = [table for table in comparison(store).tables if table.source.key == "peft_metamathqa"]

    assert len(tables[0].rows) > 60
    assert all(each.ours is None for each in tables[0].rows)


def test_a_leaderboards_json_has_the_published_tables_beside_its_own_rows(database, store):
    measured(database, paper_run())
    board = leaderboard(store)
    document = json.loads(json.dumps(board.to_json()))

    tables = {(each["source"], each["table"], each["model"]): each for each in document["published"]}
    (found,) = (each for each in tables["denselora", "Table 1", LLAMA]["rows"] if each["label"] == "DenseLoRA**")
    assert found["published"]["average"] == 84.6
    assert found["published"]["scores"] == PRINTED
    assert found["ours"]["average"]["ours"] == document["rows"][0]["average"]["value"]
    assert [each["label"] for each in document["rows"]] == ["denselora"]
    assert not any(source == "peft_metamathqa" for source, _, _ in tables)


def test_names_choose_published_tables_and_our_runs(database, store):
    measured(database, paper_run())

    def shown(**asked: str) -> set[str]:
        return {table.table.table for table in comparison(store, **asked).tables}

    assert shown(experiment="granularity") == {"Table 3", "Table 8"}
    assert shown(benchmark="arithmetic") == {"Table 2"}
    assert shown(model="meta-llama/Llama-3.2-3B") == {"MetaMathQA"}
    assert "Table 7" in shown(experiment="first")  # an experiment of ours: every table, beside its runs
    assert not any(each.ours for table in comparison(store, benchmark="arithmetic").tables for each in table.rows)


@pytest.mark.parametrize("kind", ["experiment", "benchmark", "model"])
def test_a_name_that_neither_has_is_refused_with_the_nearest(store, kind):
    near = {"experiment": "granularity", "benchmark": "arithmetic", "model": "gpt-3.5-turbo"}[kind]
    with pytest.raises(NotFoundError, match=f"unknown {kind} '{near}x', did you mean '{near}'"):
        comparison(store, **{kind: f"{near}x"})
