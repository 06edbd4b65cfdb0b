"""`harness report --forgetting`: each row against the bare base on the same items."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy import stats

from harness.cli.main import cli
from harness.errors import NotFoundError

from .database import TASKS, Database, asked
from .test_groups import Outcomes, outcomes


def invoked(database: Database, *arguments: str) -> Result:
    return CliRunner().invoke(
        cli, ["--db", database.url, "report", "--forgetting", *arguments], catch_exceptions=False
    )


def scored(database: Database, chances: dict[str, float], seeds: range) -> dict[tuple[str, int], Outcomes]:
    """The bare base right in 60 %, and methods."""
    answers = {("none", 0): outcomes(0.6, 5)}
    answers |= {
        (method, seed): outcomes(chance, 10 * number + seed)
        for number, (method, chance) in enumerate(chances.items(), start=1)
        for seed in seeds
    }
    runs = {key: asked(key[0], seed=key[1]) for key in answers}
    database.register(*runs.values())
    for key, run in runs.items():
        database.answer(run, answers[key])
    return answers


def test_what_was_lost_is_the_paired_difference_from_the_base_the_worst_row_first(database: Database) -> None:
    answers = scored(database, {"lora": 0.58, "full": 0.3}, range(3))
    rows = json.loads(invoked(database, "--format", "json").stdout)["rows"]
    base = np.mean([answers["none", 0][task] for task in TASKS])
    lost = {
        method: 100 * (np.mean([answers[method, seed][task] for seed in range(3) for task in TASKS]) - base)
        for method in ("lora", "full")
    }

    assert [row["label"] for row in rows] == ["full", "lora"]
    assert [row["average"] for row in rows] == [pytest.approx(lost["full"]), pytest.approx(lost["lora"])]
    assert rows[0]["average_ci_high"] < 0
    assert rows[0]["adjusted"] < 0.05
    assert rows[1]["adjusted"] > 0.05
    assert {row["seeds"] for row in rows} == {3}


def test_with_one_seed_a_single_task_is_mcnemars_test_and_p_is_adjusted_for_all_rows(database: Database) -> None:
    tasks = TASKS[:1]
    chances = {"none": 0.6, "lora": 0.5, "dora": 0.55}
    answers = {method: outcomes(chance, 7 + number) for number, (method, chance) in enumerate(chances.items())}
    runs = {method: asked(method) for method in chances}
    database.register(*runs.values(), tasks=tasks)
    for method, run in runs.items():
        database.answer(run, {task: answers[method][task] for task in tasks})
    rows = {row["label"]: row for row in json.loads(invoked(database, "--format", "json").stdout)["rows"]}

    base = np.array(answers["none"][tasks[0]])
    p_values = {}
    for method in ("lora", "dora"):
        own = np.array(answers[method][tasks[0]])
        up, down = int((own > base).sum()), int((own < base).sum())
        p_values[method] = stats.binomtest(up, up + down).pvalue
    smaller, larger = sorted(p_values, key=p_values.get)
    assert rows[smaller]["average_p_value"] == pytest.approx(p_values[smaller])
    assert rows[smaller]["adjusted"] == pytest.approx(min(1, 2 * p_values[smaller]))
    assert rows[larger]["adjusted"] == pytest.approx(max(min(1, 2 * p_values[smaller]), p_values[larger]))
    assert "about these trained weights" in invoked(database).stdout


def test_where_less_is_better_the_worst_is_what_rose_most(database: Database) -> None:
    perplexities = {"none": 20.0, "lora": 60.0, "denselora": 5.0}
    runs = {method: asked(method) for method in perplexities}
    database.register(*runs.values())
    for method, run in runs.items():
        spread = np.random.default_rng(3).uniform(-1, 1, 50)
        answers = {task: [perplexities[method] + float(x) for x in spread] for task in TASKS}
        database.answer(run, answers, metric="perplexity")

    found = json.loads(invoked(database, "--format", "json").stdout)
    assert [row["label"] for row in found["rows"]] == ["lora", "denselora"]
    assert "above zero it is worse than before" in invoked(database).stdout


def test_where_some_tasks_are_measured_so_the_foot_names_them(database: Database) -> None:
    runs = [asked("none"), asked("lora")]
    database.register(*runs)
    for run in runs:
        database.answer(run, {TASKS[0]: [1, 0, 1]})
        database.answer(run, {TASKS[1]: [2.0, 3.0]}, metric="perplexity")
    assert "In Four-way choice less is better: there above zero is worse." in invoked(database).stdout


def test_without_the_bare_base_nothing_can_be_said(database: Database) -> None:
    run = asked()
    database.register(run)
    database.answer(run, outcomes(0.5, 1))
    with pytest.raises(NotFoundError, match="no board has the bare base; add"):
        invoked(database)
