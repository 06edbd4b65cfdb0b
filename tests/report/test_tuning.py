"""What tuning tried and chose, from a database: on leaderboards, and in a report of its own."""

from __future__ import annotations

import csv
import itertools
import json
from statistics import fmean

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import NotFoundError
from harness.report.leaderboard import leaderboard, leaderboards
from harness.report.statistics.best import expected_best
from harness.report.tuning import tuned_experiments
from harness.spec.tuning import VALIDATION
from harness.store.records import Entry, Score, TaskResult
from harness.store.store import open_store

from .database import TASKS, TRAINING, Database, asked, entry, scores

RATES = (1e-4, 1e-3, 1e-2)
CHOSEN = {"points": 3, "failed": 1, "by": "validation_loss", "seeds": [100], "value": 2.0}


def trying(rate: float) -> Entry:
    group = {"key": "k", "label": "lora", "point": {"train.learning_rate": rate}}
    about = {"by": "validation_loss", "groups": [group]}
    return entry(asked(seed=100, learning_rate=rate), [VALIDATION], role="tuning", tuning=about)


@pytest.fixture
def tuned(database: Database) -> Database:
    """lora at three learning rates, of which one diverged; the second is the best and was run with two seeds."""
    tries = [trying(rate) for rate in RATES]
    about = CHOSEN | {"key": "k", "chosen": {"train.learning_rate": RATES[1]}}
    runs = [asked(seed=seed, learning_rate=RATES[1]) for seed in (0, 1)]
    fields = {"name": "first", "profile": "paper", "path": "x.yaml", "question": "", "spec": {}, "benchmark": "micro"}
    with open_store(database.url) as store:
        store.register(fields, [*tries, *(entry(run, TASKS, role="tuned", tuning=about) for run in runs)])
        for each, loss in zip(tries, (3.0, 2.0, None), strict=True):
            claim = store.claim(each.run_id, "here:1:1", "cpu")
            assert claim is not None
            if loss is None:
                store.fail(claim, "diverged", "the loss is nan", "", {})
                continue
            store.record_training(claim, each.train_id, TRAINING)
            found = (Score("loss", loss, None, 20), Score("accuracy", 0.25, 0.1, 20))
            store.record_task(claim, TaskResult(VALIDATION, "1", "f", found, (), 1.0))
            store.finish(claim, {})
    for run, value in zip(runs, (0.7, 0.8), strict=True):
        database.complete(run, scores(value, value))
    return database


@pytest.mark.parametrize("lowest", [True, False])
@pytest.mark.parametrize("values", [[2.0], [1.0, 3.0], [3.0, 1.0, 2.0, 2.0, 5.5], [0.3, 0.1, 0.9, 0.2, 0.4, 0.8]])
def test_the_expected_best_is_the_mean_over_all_orders(values, lowest):
    best = min if lowest else max
    orders = list(itertools.permutations(values))
    brute = [fmean(best(order[:k]) for order in orders) for k in range(1, len(values) + 1)]
    assert expected_best(values, lowest) == pytest.approx(brute, rel=1e-12)


def test_a_row_says_what_was_chosen_and_among_how_many_points(tuned, store):
    (row,) = leaderboard(store, "micro").rows
    assert row.tuned == CHOSEN | {"chosen": {"train.learning_rate": 1e-3}}
    assert row.to_json()["tuned"]["points"] == 3
    assert (row.seeds, row.marked) == (2, "lora ‡")


def test_runs_that_tuned_stand_on_no_board(tuned, store):
    boards = leaderboards(store)
    assert [board.benchmark for board in boards] == ["micro"]
    assert (boards[0].failed, boards[0].unfinished, boards[0].tasks) == (0, 0, TASKS)


def test_a_point_that_is_chosen_no_more_leaves_the_board_and_stays_recorded(tuned, store):
    other = asked(seed=0, learning_rate=RATES[0])
    about = CHOSEN | {"key": "k", "chosen": {"train.learning_rate": RATES[0]}}
    fields = {"name": "first", "profile": "paper", "path": "x.yaml", "question": "", "spec": {}, "benchmark": "micro"}
    with open_store(tuned.url) as writing:
        writing.register(fields, [*map(trying, RATES), entry(other, TASKS, role="tuned", tuning=about)])
    assert leaderboards(store) == ()
    roles = [place.role for place in store.memberships("first")]
    assert sorted(roles) == ["superseded"] * 2 + ["tuned"] + ["tuning"] * 3
    assert tuned_experiments(store)[0].superseded == 2


def test_while_new_points_are_tried_the_old_choice_stays(tuned, store):
    fields = {"name": "first", "profile": "paper", "path": "x.yaml", "question": "", "spec": {}, "benchmark": "micro"}
    with open_store(tuned.url) as writing:
        writing.register(fields, [*map(trying, RATES[1:]), trying(1.0)])
    assert len(leaderboards(store)) == 1
    (found,) = tuned_experiments(store)
    assert (found.rows[0].chosen, found.superseded) == (None, 1)


def report(tuned: Database, *options: str) -> str:
    done = CliRunner().invoke(cli, ["--db", tuned.url, "report", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_the_report_of_tuning_shows_every_point_and_what_fewer_would_have_given(tuned):
    text = report(tuned, "--tuning")
    lines = [line.split() for line in text.splitlines() if line.startswith("lora ")]
    assert lines == [
        ["lora", "learning_rate=0.0001", "3.0000", "25.0"],
        ["lora", "learning_rate=0.001", "2.0000", "25.0", "chosen"],
        ["lora", "learning_rate=0.01", "–", "–", "failed", "(diverged)"],
    ]
    assert "lora: expected best validation_loss after k points, over all orders: 1: 2.5, 2: 2" in text
    assert "lora: 1 of 3 points failed; the expectation is of the others" in text


def test_the_report_of_tuning_as_json_and_csv(tuned):
    found = json.loads(report(tuned, "--tuning", "--format", "json"))
    assert found["tuned"][0]["curve"] == [2.5, 2.0]
    assert found["tuned"][0]["chosen"] == {"train.learning_rate": 1e-3}
    assert [(row["loss"], row["failed"], row["chosen"]) for row in found["rows"]] == [
        (3.0, False, False),
        (2.0, False, True),
        (None, True, False),
    ]
    lines = report(tuned, "--tuning", "--format", "csv").splitlines()
    assert len(lines) == 4 and lines[0].startswith("label,method,model,by,point,loss,accuracy")


def test_the_foot_of_the_leaderboard_says_how_a_row_was_tuned(tuned):
    told = "‡ lora: learning_rate=0.001 by validation_loss 2, of 3 points (1 failed) with seed 100"
    for form in ("table", "markdown", "latex"):
        assert told.replace("_", {"table": "_", "markdown": r"\_", "latex": "_"}[form]) in report(
            tuned, "--leaderboard", "--format", form
        )


def test_a_line_of_csv_says_among_how_many_points_its_row_was_chosen(tuned, store):
    (line,) = csv.DictReader(report(tuned, "--leaderboard", "--format", "csv").splitlines())
    assert line["tuned_points"] == "3"
    assert [record["tuned_points"] for record in leaderboard(store, "micro")] == [3]


def test_where_nothing_was_tuned_the_report_says_so(database):
    run = asked()
    database.register(run)
    database.complete(run, scores(0.5, 0.5))
    done = CliRunner().invoke(cli, ["--db", database.url, "report", "--tuning"])
    assert isinstance(done.exception, NotFoundError)
    assert str(done.exception) == "nothing was tuned; see select in docs/experiments.md"


def test_the_curves_can_be_drawn(tuned, tmp_path):
    pytest.importorskip("matplotlib")
    assert report(tuned, "--figure", "tuning", "--output", str(tmp_path / "t.svg")).endswith("t.svg\n")
    assert "Expected best validation loss" in (tmp_path / "t.svg").read_text()
