"""`harness report --pareto`: which rows no cheaper one beats, and how sure that is."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import cli

from .database import TRAINING, Database, asked
from .test_groups import outcomes

SIZES = {"vera": 1_000, "lora": 50_000, "dora": 60_000, "full": 9_000_000}
CHANCES = {"vera": 0.40, "lora": 0.65, "dora": 0.645, "full": 0.40}


def invoked(database: Database, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--db", database.url, "report", *arguments])


def trained(database: Database, seeds: range = range(5)) -> None:
    """A cheap poor method, two equal ones in the middle, a dear poor one; and the bare base."""
    runs = [(asked(method, seed=seed), number) for number, method in enumerate(SIZES) for seed in seeds]
    base = asked("none")
    database.register(base, *(run for run, _ in runs))
    database.answer(base, outcomes(0.1, 99))
    for run, number in runs:
        training = dataclasses.replace(
            TRAINING,
            trainable_params=SIZES[run.label],
            seconds=500.0 - 100 * number,
            adapter_bytes=4 * SIZES[run.label],
        )
        answers = outcomes(CHANCES[run.label], 100 * number + (run.spec.seed or 0))
        database.answer(run, answers, training=training)


def places(database: Database, *arguments: str) -> dict[str, tuple[str, str | None]]:
    rows = json.loads(invoked(database, "--pareto", "--format", "json", *arguments).stdout)["rows"]
    return {row["label"]: (row["standing"], row["rival"]) for row in rows}


def test_a_row_stands_on_the_front_or_behind_it_and_what_the_evidence_proves_is_told_apart(database: Database) -> None:
    trained(database)
    found = places(database)

    assert found["none"] == found["vera"] == found["lora"] == ("on the front, proved", None)
    assert found["full"] == ("beaten, proved", "lora")
    # Which of both equals is ahead is chance; the dearer one is never proved worse or better than the other.
    assert found["dora"] in {("behind it", "lora"), ("on the front", "lora")}


def test_where_speed_is_the_cost_the_fastest_is_the_cheapest(database: Database) -> None:
    trained(database)
    rows = json.loads(invoked(database, "--pareto", "--cost", "speed", "--format", "json").stdout)["rows"]

    assert [row["label"] for row in rows] == ["full", "dora", "lora", "vera", "none"]
    assert rows[0]["cost"] == pytest.approx(TRAINING.tokens / 200)
    assert rows[0]["standing"] == "on the front, proved"
    assert rows[3]["standing"] == "beaten, proved"
    assert (rows[-1]["cost"], rows[-1]["standing"]) == (None, None)


def test_one_seed_proves_nothing_of_methods(database: Database) -> None:
    trained(database, range(1))
    found = places(database)

    assert found["full"][0] == "behind it"
    assert found["vera"] == ("on the front", "none")
    assert "With one seed no difference is proved" in invoked(database, "--pareto").stdout


@pytest.mark.parametrize("cost", ["parameters", "time", "memory", "bytes", "speed"])
def test_the_front_is_printed_for_every_cost_in_every_form(database: Database, cost: str) -> None:
    trained(database, range(1))
    table = invoked(database, "--pareto", "--cost", cost).stdout
    lines = list(csv.DictReader(io.StringIO(invoked(database, "--pareto", "--cost", cost, "--format", "csv").stdout)))

    assert "beaten, proved: a row that costs no more is provably more accurate." in table
    assert {line["label"] for line in lines} == {"none", *SIZES}
    assert {line["cost_axis"] for line in lines} == {cost}
    assert "| Method |" in invoked(database, "--pareto", "--cost", cost, "--format", "markdown").stdout


def test_costs_are_columns_of_the_leaderboards_data(database: Database) -> None:
    trained(database, range(1))
    rows = {row["label"]: row for row in csv.DictReader(io.StringIO(leaderboard_csv(database)))}

    assert rows["lora"]["adapter_bytes"] == str(4 * SIZES["lora"])
    assert rows["none"]["adapter_bytes"] == "0"


def leaderboard_csv(database: Database) -> str:
    return invoked(database, "--leaderboard", "--format", "csv").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say which report: --leaderboard, --pareto, --forgetting"),
        (("--pareto", "--forgetting"), "one report at a time: --pareto or --forgetting"),
        (("--pareto", "--format", "latex"), "--pareto has no --format latex; it has table, markdown, csv and json"),
        (("--pareto", "--cost", "money"), "'money' is not one of"),
        (("--figure", "pareto"), "--figure: say where, --output FILE.pdf"),
        (("--figure", "pareto", "--output", "x.gif"), "--output x.gif: a figure is .pdf, .svg, .png"),
        (("--figure", "pareto", "--output", "no/x.pdf"), "--output no/x.pdf: no is no directory"),
        (("--leaderboard", "--max-params", "few"), "'few' is no number of parameters; write 500000, 500K or 1.5M"),
    ],
)
def test_what_can_not_be_asked(database: Database, arguments: tuple[str, ...], message: str) -> None:
    result = invoked(database, *arguments)
    assert (result.exit_code, message in result.output) == (2, True), result.output
