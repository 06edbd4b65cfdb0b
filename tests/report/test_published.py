"""Published numbers are as printed, hold together, and what does not add up in them is told."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import yaml

from harness import expand, load_experiment
from harness.catalog.data import data_sets
from harness.catalog.models import model_entry
from harness.catalog.prompts import prompts
from harness.errors import SpecError
from harness.report.published.doubts import doubts_of
from harness.report.published.read import read_publication
from harness.report.published.recipe import compared
from harness.spec.run import Dtype, Quantization
from harness.spec.schema import OPTIMIZERS, SCHEDULERS
from harness.store.published.shipped import publications

BY_KEY = {found.source.key: found for found in publications()}
EXPERIMENTS = Path(__file__).parents[2] / "experiments"
GRANULARITY = next(table for table in BY_KEY["denselora"].tables if table.experiment == "granularity")
ROWS = [(found, table, row) for found in publications() for table in found.tables for row in table.rows]
SMALL = {
    "source": {
        "key": "small", "title": "t", "authors": "a", "venue": "v", "url": "https://example.org", "protocol": "p",
    },
    "tables": [
        {
            "table": "Table 1", "model": "llama3-8b", "benchmark": "arithmetic", "suite": "llm_adapters",
            "rows": [
                {
                    "label": "LoRA", "method": "lora", "average": 50.0,
                    "scores": {"gsm8k": 40, "aqua": 20, "addsub": 80, "svamp": 60},
                },
            ],
        },
    ],
}  # fmt: skip


def read(folder: Path, **row: object):
    """The row of a small file in which some fields are others."""
    document = yaml.safe_load(yaml.safe_dump(SMALL))
    document["tables"][0]["rows"][0] |= row
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return read_publication(path).tables[0].rows[0]


def row(key: str, table: str, label: str, model: str = "meta-llama/Meta-Llama-3-8B"):
    (found,) = (
        each
        for publication, where, each in ROWS
        if (publication.source.key, where.table, each.label, where.model) == (key, table, label, model)
    )
    return found


def test_the_sources_are_the_paper_and_those_that_it_or_we_compare_with():
    assert set(BY_KEY) == {"denselora", "dora", "llm_adapters", "peft_metamathqa"}
    assert all(found.source.url.startswith("https://") for found in BY_KEY.values())


def test_every_table_of_the_paper_is_there():
    tables = {table.table: sum(len(t.rows) for t in BY_KEY["denselora"].tables if t.table == table.table)
              for table in BY_KEY["denselora"].tables}  # fmt: skip

    assert tables == {
        "Table 1": 15, "Table 2": 3, "Table 3": 6, "Table 4": 3, "Table 7": 5, "Table 8": 4, "Figure 4": 1,
    }  # fmt: skip
    assert len(BY_KEY["denselora"].claims) == 6


def test_rows_that_the_paper_quotes_are_those_of_its_sources():
    quoted = [(table, each) for _, table, each in ROWS if each.quoted_from]

    assert len(quoted) == 5
    for table, each in quoted:
        originals = [
            original.scores
            for where in BY_KEY[each.quoted_from].tables
            for original in where.rows
            if where.model == table.model and where.benchmark == table.benchmark
        ]
        assert each.scores in originals


@pytest.mark.parametrize(("found", "table", "each"), ROWS, ids=lambda value: getattr(value, "label", ""))
def test_an_average_is_the_rows_mean_or_doubted(found, table, each):
    if not each.scores or each.average is None:
        return
    off = abs(sum(each.scores.values()) / len(each.scores) - each.average)
    assert (off < 0.0501) is not any(text.startswith("printed average") for text in doubts_of(each))


WRONG_MEANS = {
    ("Table 1", "LoKr"): 80.79,
    ("Table 1", "NoRA"): 83.49,
    ("Table 1", "VeRA"): 60.69,
    ("Table 1", "AdaLoRA"): 80.975,
    ("Table 2", "DenseLoRA*"): 57.90,
    ("Table 7", "DenseLoRA 40% of the training data"): 83.46,
}
SWAPPED = {
    ("Table 1", "DenseLoRA***"), ("Table 2", "DenseLoRA*"),
    *(("Table 7", f"DenseLoRA {share}% of the training data") for share in (20, 40, 60, 80)),
    *(("Table 8", label) for label in (
        "LoRA QKV / DenseLoRA UD", "LoRA UD / DenseLoRA QKV", "LoRA - / DenseLoRA QKV", "LoRA - / DenseLoRA UD",
    )),
}  # fmt: skip


def test_the_papers_rows_that_are_in_doubt_are_found():
    means, swapped = {}, set()
    for found, table, each in ROWS:
        for text in doubts_of(each) if found.source.key == "denselora" else ():
            if text.startswith("printed average"):
                means[(table.table, each.label)] = float(text.rpartition(" ")[2])
            if "look swapped" in text:
                swapped.add((table.table, each.label))

    assert means == pytest.approx(WRONG_MEANS, abs=0.00501)
    assert swapped == SWAPPED


def test_no_row_of_the_other_sources_looks_swapped():
    assert not [each for found, _, each in ROWS if found.source.key != "denselora"
                for text in doubts_of(each) if "swapped" in text]  # fmt: skip


def test_a_number_that_the_papers_formulas_contradict_is_doubted():
    for table, label, value in (
        ("Table 1", "DoRA (half rank)", "0.361"),
        ("Table 1", "DenseLoRA***", "0.0522"),
        ("Table 2", "DenseLoRA**", "0.0522"),
        ("Table 3", "LoRA UD / DenseLoRA QKV", "0.476"),
    ):
        assert any(value in text for text in doubts_of(row("denselora", table, label)))


def test_models_that_we_have_are_called_as_in_our_catalog():
    models = {table.model for _, table, _ in ROWS if table.experiment == "commonsense" and table.model != "llama-7b"}

    assert {model_entry(model).name for model in models} == models


def test_recipes_are_told_in_the_words_of_our_experiments():
    recipes = [found.source.recipe for found in publications()] + [table.recipe for _, table, _ in ROWS]
    told = {name: {value for recipe in recipes if (value := getattr(recipe, name)) is not None}
            for name in ("data", "lr_scheduler", "optimizer", "prompt", "dtype", "quantization")}  # fmt: skip

    assert told["data"] == {"commonsense_170k", "math_10k", "MetaMathQA"}
    assert {"commonsense_170k", "math_10k"} <= set(data_sets())
    assert told["prompt"] == {"llm_adapters_verbatim"} < set(prompts())
    assert told["lr_scheduler"] <= set(SCHEDULERS)
    assert told["optimizer"] <= set(OPTIMIZERS)
    assert told["dtype"] <= set(get_args(Dtype))
    assert told["quantization"] <= set(get_args(Quantization))


def test_the_paper_s_recipe_is_the_one_that_our_experiments_have():
    paper = BY_KEY["denselora"].source.recipe
    (run, *_) = expand(load_experiment(EXPERIMENTS / "granularity.yaml", "paper"))

    departures, not_told = compared(row("denselora", "Table 8", "LoRA QKV / DenseLoRA UD"), GRANULARITY, paper, run, 1)
    assert [str(each) for each in departures] == ["dtype bfloat16 (float16)"]  # as experiments/_paper.yaml says
    assert not_told == ()


def test_pefts_own_benchmark_is_none_of_our_tasks():
    (table,) = BY_KEY["peft_metamathqa"].tables

    assert table.task("gsm8k") == "peft_metamathqa_gsm8k"
    assert row("peft_metamathqa", "MetaMathQA", "lora-rank32", table.model).scores == {"gsm8k": 47.84}


def test_a_sound_row_has_no_doubts(tmp_path):
    assert doubts_of(read(tmp_path)) == ()


def test_an_average_may_be_half_a_unit_off(tmp_path):
    scores = {"gsm8k": 40.2, "aqua": 20, "addsub": 80, "svamp": 60}

    assert doubts_of(read(tmp_path, scores=scores)) == ()
    assert doubts_of(read(tmp_path, scores=scores | {"gsm8k": 40.3})) == (
        "printed average 50, but the row's mean is 50.08",
    )


def test_every_problem_of_a_file_is_told_with_its_line(tmp_path):
    with pytest.raises(SpecError) as caught:
        read(tmp_path, method="denslora", scores={"gsm8k": 40, "aqua": 20, "adsub": 80, "svamp": 60})

    told = [str(problem) for problem in caught.value.problems]
    assert [text.partition("small.yaml:")[2] for text in told] == [
        "14 tables[0].rows[0].method: unknown method 'denslora', did you mean 'denselora'?",
        "15 tables[0].rows[0].scores: lacks llm_adapters_addsub",
        "16 tables[0].rows[0].scores.adsub: no task of arithmetic, did you mean 'addsub'?",
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"score": {}}, "score"),
        ({"scores": {"gsm8k": 140}}, "scores"),
        ({"params_percent": "0.7 %"}, "params_percent"),
        ({"label": ""}, "label"),
    ],
)
def test_an_unknown_field_or_an_impossible_value_is_refused(tmp_path, change, field):
    with pytest.raises(SpecError, match=rf"small\.yaml:\d+ tables\[0\]\.rows\[0\]\.{field}"):
        read(tmp_path, **change)
