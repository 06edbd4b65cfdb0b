"""`harness report --increments`: what training changed, how densely, and whether M is denser than A and B."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.cli.main import cli
from harness.store.increments.records import Increment
from harness.train.increments.matrix import increment

from .database import TRAINING, Asked, Database, asked, scores

SEEDS = (0, 1, 2)
DENSE, SPARSE, BUDGET = 1.0, 0.3, 0.5
"""The share of the entries that training changed."""


def invoked(database: Database, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--db", database.url, "report", *arguments])


def change(name: str, shape: tuple[int, int], share: float, seed: int) -> Increment:
    draw = np.random.default_rng(seed)
    after = 1e-3 * draw.standard_normal(shape) * (draw.random(shape) < share)
    return increment(name, np.zeros(shape), after)


@cache
def lora(seed: int, r: int, share: float) -> tuple[Increment, ...]:
    layers = [f"model.layers.{layer}.q_proj" for layer in range(2)]
    sides = [
        (f"{layer}.lora_{side}.default.weight", shape)
        for layer in layers
        for side, shape in (("A", (r, 48)), ("B", (64, r)))
    ]
    return tuple(change(name, shape, share, 10 * seed + at) for at, (name, shape) in enumerate(sides))


@cache
def dense(seed: int, r: int) -> tuple[Increment, ...]:
    names = [f"model.layers.{layer}.q_proj.denselora_M.default" for layer in range(2)]
    return tuple(change(name, (r, r), DENSE, 100 + 10 * seed + at) for at, name in enumerate(names))


def trained(database: Database, seeds: tuple[int, ...] = SEEDS) -> None:
    """DenseLoRA whose M changes throughout, LoRA at its rank and at its budget, sparsely; DoRA is not measured."""
    rows = {
        "DenseLoRA": (asked_of("denselora", seeds, "DenseLoRA", r=16), 5_000, lambda seed: dense(seed, 16)),
        "LoRA": (asked_of("lora", seeds, "LoRA", r=16), 20_000, lambda seed: lora(seed, 16, SPARSE)),
        "small": (asked_of("lora", seeds, "small LoRA", r=4), 4_800, lambda seed: lora(seed, 4, BUDGET)),
        "DoRA": (asked_of("dora", seeds[:1], "DoRA", r=16), 20_500, lambda seed: ()),
    }
    database.register(*(run for runs, _, _ in rows.values() for run in runs))
    for runs, size, found in rows.values():
        for run in runs:
            training = replace(TRAINING, trainable_params=size, increments=found(run.spec.seed or 0))
            database.complete(run, scores(0.5, 0.5), training=training)


def asked_of(method: str, seeds: tuple[int, ...], label: str, **params: int) -> list[Asked]:
    return [asked(method, seed=seed, label=label, **params) for seed in seeds]


def report(database: Database) -> dict[str, object]:
    return json.loads(invoked(database, "--increments", "--format", "json").stdout)


def test_each_kind_of_matrix_is_a_row_with_its_measures_over_seeds(database: Database) -> None:
    trained(database)
    rows = {(row["label"], row["matrix"]): row for row in report(database)["rows"]}

    assert set(rows) == {
        ("DenseLoRA", "denselora_M"), ("LoRA", "lora_A"), ("LoRA", "lora_B"),
        ("small LoRA", "lora_A"), ("small LoRA", "lora_B"),
    }  # fmt: skip
    sparse, m = rows["LoRA", "lora_A"], rows["DenseLoRA", "denselora_M"]
    assert (sparse["shape"], sparse["matrices"], sparse["seeds"], sparse["r"]) == ("16 × 48", 2, 3, 16)
    assert sparse["share_1"] == pytest.approx(100 * (1 - SPARSE), abs=3)
    assert m["share_1"] == pytest.approx(0.8, abs=0.5)
    assert m["gini"] == pytest.approx(m["gini_normal"], abs=0.02)
    mean = np.mean([each.density.gini for seed in SEEDS for each in lora(seed, 16, SPARSE) if each.matrix == "lora_A"])
    assert sparse["gini"] == pytest.approx(mean)
    assert sparse["gini_sd"] > 0
    assert sparse["below_0.001"] > sparse["share_10"]


def test_m_is_held_against_a_and_b_at_equal_rank_and_at_equal_parameters_only(database: Database) -> None:
    trained(database)
    found = report(database)["comparisons"]

    assert [(each["against"]["label"], each["against"]["matrix"], each["equal"]) for each in found] == [
        ("LoRA", "lora_A", "rank"), ("LoRA", "lora_B", "rank"),
        ("small LoRA", "lora_A", "parameters"), ("small LoRA", "lora_B", "parameters"),
    ]  # fmt: skip
    first = found[0]
    assert first["seeds"] == 3 and set(first["denser"]) >= {"share_1", "share_5", "share_10", "hoyer", "gini"}
    assert "sparser" in first and not set(first["sparser"]) & set(first["denser"])
    # In units of the RMS over all entries, those of A that changed are larger than normal ones by 1/√SPARSE.
    below = [1 - share + share * math.erf(0.1 * math.sqrt(share / 2)) for share in (DENSE, SPARSE)]
    assert first["measures"]["share_10"]["difference"] == pytest.approx(100 * (below[0] - below[1]), abs=3)


def test_the_table_says_it_for_people(database: Database) -> None:
    trained(database)
    text = invoked(database, "--increments").stdout

    assert "what training changed" in text and "Is M denser than A and B?" in text
    assert any("A of LoRA" in line and "rank" in line for line in text.splitlines())
    assert "Not measured: 1 training; harness measure does it where the adapter is kept." in text


def test_one_seed_has_no_spread_and_what_is_unknown_is_missing(database: Database) -> None:
    trained(database, seeds=(0,))
    (row, *_) = report(database)["rows"]

    assert row["gini_sd"] is None
    assert row["gini_slices_sd"] is None  # M is square: it is its only slice


def test_markdown_and_csv_have_the_same_rows(database: Database) -> None:
    trained(database)
    rows = list(csv.DictReader(io.StringIO(invoked(database, "--increments", "--format", "csv").stdout)))

    assert len(rows) == 5
    assert "| denselora\\_M |" in invoked(database, "--increments", "--format", "markdown").stdout


def test_where_nothing_was_measured_the_command_that_does_it_is_named(database: Database) -> None:
    run = asked("lora")
    database.register(run)
    database.complete(run, scores(0.5, 0.5))
    done = invoked(database, "--increments")

    assert "no increments are recorded; harness measure does it for adapters that are kept" in str(done.exception)


def drawn(database: Database, file: Path, *asked_as: str) -> str:
    done = invoked(database, *asked_as, "--output", str(file))
    assert done.exit_code == 0, done.output
    return file.read_text()


def test_figures_have_a_panel_for_each_kind_and_repeat_byte_for_byte(database: Database, tmp_path: Path) -> None:
    trained(database, seeds=(0,))
    histograms = drawn(database, tmp_path / "one.svg", "--increments", "--figure", "histograms")
    heat_maps = drawn(database, tmp_path / "maps.svg", "--figure", "heatmaps")

    assert drawn(database, tmp_path / "two.svg", "--figure", "histograms") == histograms
    for text in (histograms, heat_maps):
        assert "denselora_M" in text and "small LoRA" in text
    assert "q_proj, layer 1" in heat_maps


def test_increments_and_another_figure_are_two_reports(database: Database) -> None:
    done = invoked(database, "--increments", "--figure", "bars", "--output", "x.pdf")

    assert done.exit_code == 2 and "one report at a time: --increments or --figure" in done.output


def test_a_cap_on_parameters_leaves_out_what_is_larger(database: Database) -> None:
    trained(database)
    found = json.loads(invoked(database, "--increments", "--max-params", "4.9K", "--format", "json").stdout)
    assert {row["label"] for row in found["rows"]} == {"small LoRA"}
