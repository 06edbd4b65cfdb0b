"""Our rows stand beside the published ones that ask the same, with what separates them told."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.catalog.benchmarks import benchmarks
from harness.cli.main import cli
from harness.errors import NotFoundError
from harness.report.leaderboard import leaderboard
from harness.report.published.beside import BesideRow
from harness.report.published.comparison import comparison, records
from harness.report.published.recipe import compared, recipe_of
from harness.report.published.render import FORMATS
from harness.spec.identity import identified
from harness.spec.run import AdapterRef, Decoding, ModelRef, PromptRef, ScoreSettings, TrainSettings
from harness.store.published.shipped import publications
from harness.store.store import Store

from .database import Asked, Database, asked

LLAMA = "meta-llama/Meta-Llama-3-8B"
TASKS = benchmarks()["commonsense"].tasks
SEVEN = benchmarks()["commonsense_7"].tasks
PAPER = TrainSettings(
    epochs=2.0, learning_rate=3e-4, lr_scheduler="linear", warmup_steps=100, optimizer="adamw", batch_size=16,
    max_length=256, loss_on="all", eval_steps=80, checkpoint="best",
)  # fmt: skip
PRINTED = {"boolq": 74.3, "piqa": 88.0, "social_i_qa": 80.3, "hellaswag": 94.5, "winogrande": 86.0, "arc_easy": 89.7,
           "arc_challenge": 78.7, "openbookqa": 85.6}  # fmt: skip
"""DenseLoRA r=32 on LLaMA3-8B, Table 1: 84.6 on average."""
STDERR = 0.01
PAPERS = publications()[0]
TABLE = next(table for table in PAPERS.tables if (table.table, table.model) == ("Table 1", LLAMA))
PRINTED_ROW = next(row for row in TABLE.rows if row.scores == PRINTED)


def paper_run(method: str = "denselora", **params: Any) -> Asked:
    """A run of the paper's own recipe: DenseLoRA at r=32 on LLaMA3-8B unless the parameters say otherwise."""
    adapter = {"r": 32, "alpha": 64, "dropout": 0.05, "targets": "QKVUD"} | params
    run = asked(method, model=LLAMA, data="commonsense_170k", **adapter)
    return changed(
        run,
        model=ModelRef(name=LLAMA, content="hub:llama3", dtype="float16"),
        data=run.spec.data and run.spec.data.model_copy(update={"validation": 120}),
        train=run.spec.train and PAPER,
        prompt=PromptRef(name="llm_adapters_verbatim", train="{x}", score="{x}"),
        score=ScoreSettings(decoding=Decoding(beams=4)),
    )


def changed(run: Asked, **fields: Any) -> Asked:
    return replace(run, spec=identified(run.spec.model_copy(update=fields)))


def measured(
    database: Database, *runs: Asked, tasks: tuple[str, ...] = TASKS, benchmark: str = "commonsense", off: float = 0.0
) -> None:
    """Runs whose scores are the paper's, off by some points."""
    database.register(*runs, benchmark=benchmark, tasks=tasks)
    values = {task: ((PRINTED[task.removeprefix("llm_adapters_")] + off) / 100, STDERR) for task in tasks}
    for run in runs:
        database.complete(run, values)


def row(store: Store, label: str, table: str = "Table 1", model: str = LLAMA, source: str = "denselora") -> BesideRow:
    (found,) = (
        each
        for beside in comparison(store).tables
        for each in beside.rows
        if (beside.source.key, beside.table.table, beside.table.model, each.row.label) == (source, table, model, label)
    )
    return found


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


ONLY_MATRIX = {"activation": "identity", "decoder_activation": None, "train_encoder_decoder": True}
OF_THE_PAPER = ONLY_MATRIX | {"activation": "gelu"}


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


def test_without_any_run_the_published_numbers_are_shown_alone(store):
    text = FORMATS["table"](comparison(store, experiment="rank"))

    line = next(line for line in text.splitlines() if line.startswith("DenseLoRA r=256"))
    assert line.split() == ["DenseLoRA", "r=256", "85.5", *"––––––"]


def test_a_table_tells_numbers_doubts_departures_and_claims(database, store):
    measured(database, changed(paper_run(), score=ScoreSettings()), off=-5)
    text = FORMATS["table"](comparison(store, experiment="commonsense", model=LLAMA))

    lines = text.splitlines()
    (ours,) = (line.split() for line in lines if line.startswith("DenseLoRA** "))
    assert ours == ["DenseLoRA**", "84.6", "84.6", "79.64", "-4.96", "78.9", "to", "80.3", "no", "1", "field"]
    assert "DenseLoRA**: ours differs in decoding greedy (4 beams)" in lines
    assert any(line.startswith("? VeRA: winogrande 6.18 is probably a misprint of 61.8") for line in lines)
    assert "LoRA, DoRA (half rank), DoRA: quoted from dora" in lines
    assert any("by a factor of 70" in line and "61" in line for line in lines)


def test_markdown_has_a_table_for_each_published_one(database, store):
    measured(database, paper_run())
    found = comparison(store)
    text = FORMATS["markdown"](found)

    assert text.count("| Method | Published |") == len(found.tables)
    assert r"| DenseLoRA\*\* | 84.6 | 84.6 |" in text


def test_csv_has_a_line_for_each_published_number(database, store):
    measured(database, paper_run())
    found = comparison(store, experiment="commonsense", model=LLAMA)
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](found))))

    rows = [each for table in found.tables for each in table.rows]
    assert len(lines) == sum(len(each.row.scores) + 1 for each in rows) == len(list(records(found)))
    (boolq,) = (each for each in lines if (each["label"], each["quantity"]) == ("DenseLoRA**", "boolq"))
    assert (boolq["printed"], float(boolq["ours"]), boolq["inside"]) == ("74.3", pytest.approx(74.3), "True")
    (untold,) = (each for each in lines if (each["label"], each["quantity"]) == ("NoRA", "average"))
    assert (untold["printed"], untold["ours"], untold["difference"]) == ("83.1", "", "")


def test_json_holds_recipes_doubts_and_claims(database, store):
    measured(database, paper_run())
    document = json.loads(FORMATS["json"](comparison(store, experiment="commonsense", model=LLAMA)))

    rows = {each["label"]: each for table in document["tables"] for each in table["rows"]}
    assert rows["DenseLoRA**"]["recipe"]["prompt"] == "llm_adapters_verbatim"
    assert rows["DenseLoRA**"]["ours"]["average"]["inside"] is True
    assert rows["LoKr"]["ours"] is None
    assert len(document["claims"]) == 6
    assert all(set(claim) == {"title", "text", "arithmetic", "verdict"} for claim in document["claims"])


def test_numbers_of_another_version_are_said_to_be_so(store, monkeypatch):
    monkeypatch.setattr("harness.store.published.shipped.digest", lambda: "0" * 64)
    assert "harness db upgrade renews them" in FORMATS["table"](comparison(store, experiment="rank"))


def report(database: Database, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--db", database.url, "report", *arguments])


def test_the_report_needs_neither_torch_nor_pandas(database):
    heavy = "print(*{'torch', 'pandas', 'transformers', 'matplotlib', 'lm_eval'} & {*sys.modules})"
    code = f"import sys\nfrom harness.cli.main import main\ntry:\n  main()\nfinally:\n  {heavy}"
    asked = [sys.executable, "-c", code, "--db", database.url, "report", "--published", "--experiment", "rank"]
    found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    assert "85.5" in found
    assert found.splitlines()[-1] == ""


def test_both_reports_may_be_asked_at_once(database):
    measured(database, paper_run())
    both = report(database, "--leaderboard", "--published", "--model", LLAMA).stdout
    assert both.index("denselora") < both.index("Table 1") < both.index("How to read this")

    document = json.loads(report(database, "--leaderboard", "--published", "--format", "json").stdout)
    assert {"rows", "published"} <= set(document)


@pytest.mark.parametrize("form", ["latex", "html"])
def test_a_form_that_it_has_not_is_refused(database, form):
    found = report(database, "--published", "--format", form)
    assert found.exit_code == 2
    assert f"--published has no --format {form}; it has table, markdown, csv and json" in found.stderr
