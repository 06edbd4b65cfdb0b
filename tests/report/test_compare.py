"""`harness compare`: two methods or two runs, paired on what both answered."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy import stats

from harness.cli.main import cli
from harness.errors import NotFoundError
from harness.store.records import Sample, Score, TaskResult
from harness.store.store import open_store

from .database import TASKS, Asked, Database, asked

ITEMS = 60


def answers(seed: int, chance: float) -> dict[str, list[int]]:
    draw = np.random.default_rng(seed)
    return {task: [int(right) for right in draw.uniform(size=ITEMS) < chance] for task in TASKS}


def filled(database: Database, seeds: range) -> dict[tuple[str, int], tuple[Asked, dict[str, list[int]]]]:
    runs = {
        (method, seed): (asked(method, seed=seed), answers(10 * number + seed, chance))
        for number, (method, chance) in enumerate((("lora", 0.4), ("dora", 0.7)))
        for seed in seeds
    }
    database.register(*(run for run, _ in runs.values()))
    for run, found in runs.values():
        database.answer(run, found)
    return runs


def invoked(database: Database, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--db", database.url, "compare", *arguments], catch_exceptions=False)


def test_one_seed_each_is_mcnemars_exact_test_about_these_weights(database: Database) -> None:
    runs = filled(database, range(1))
    document = json.loads(invoked(database, "dora", "lora", "--json").stdout)
    task = document["tasks"][0]
    mine, other = (np.array(runs[(method, 0)][1][TASKS[0]]) for method in ("dora", "lora"))
    wins, losses = int((mine > other).sum()), int((mine < other).sum())

    assert list(document)[:4] == ["a", "b", "tasks", "average"]
    assert (task["task"], task["n"], task["wins"], task["losses"]) == (TASKS[0], ITEMS, wins, losses)
    assert task["p_value"] == pytest.approx(stats.binomtest(wins, wins + losses).pvalue)
    assert (task["a"], task["b"]) == (pytest.approx(100 * mine.mean()), pytest.approx(100 * other.mean()))
    assert document["target"] == "weights"
    assert "not about the methods" in invoked(database, "dora", "lora").stdout


def test_several_seeds_speak_of_the_methods_and_the_average_is_over_all_tasks(database: Database) -> None:
    runs = filled(database, range(3))
    document = json.loads(invoked(database, "dora", "lora", "--json").stdout)
    means = {
        m: np.mean([list(found.values()) for (name, _), (_, found) in runs.items() if name == m]) for m, _ in runs
    }

    assert (document["target"], document["seeds"]) == ("method", 3)
    average = document["average"]
    assert average["difference"] == pytest.approx(100 * (means["dora"] - means["lora"]))
    assert average["ci_low"] < average["difference"] < average["ci_high"]
    assert average["p_value"] < 0.05
    flipped = json.loads(invoked(database, "lora", "dora", "--json").stdout)["average"]
    assert (flipped["difference"], flipped["wins"]) == (pytest.approx(-average["difference"]), average["losses"])


def test_a_seed_that_lacks_a_task_counts_where_both_have_it(database: Database) -> None:
    runs = filled(database, range(2))
    lora, dora = asked("lora", seed=2), asked("dora", seed=2)
    database.register(lora, dora)
    found = {"lora": {TASKS[0]: answers(50, 0.4)[TASKS[0]]}, "dora": answers(51, 0.7)}
    database.answer(lora, found["lora"])
    database.answer(dora, found["dora"])
    document = json.loads(invoked(database, "dora", "lora", "--json").stdout)

    def mean(method: str, task: str, seeds: range) -> float:
        known = {seed: runs[(method, seed)][1][task] for seed in range(2)} | {2: found[method].get(task, [])}
        return 100 * float(np.mean([known[seed] for seed in seeds]))

    first, second = document["tasks"]
    assert (first["seeds"], second["seeds"], document["average"]["seeds"], document["seeds"]) == (3, 2, 2, 3)
    assert first["a"] == pytest.approx(mean("dora", TASKS[0], range(3)))
    assert second["b"] == pytest.approx(mean("lora", TASKS[1], range(2)))
    of_average = [mean("dora", task, range(2)) - mean("lora", task, range(2)) for task in TASKS]
    assert document["average"]["difference"] == pytest.approx(float(np.mean(of_average)))
    assert "On fewer seeds, which have it: Four-way choice 2, Average 2." in invoked(database, "dora", "lora").stdout


def test_an_adapter_that_was_loaded_is_compared_as_the_weights_that_it_is(database: Database) -> None:
    filled(database, range(3))
    loaded = asked("trained", label="theirs")
    database.register(loaded, experiment="second")
    database.answer(loaded, answers(60, 0.5))
    document = json.loads(invoked(database, "theirs", "lora", "--json").stdout)

    assert (document["target"], document["seeds"]) == ("weights", 3)
    assert (
        "theirs: one training's weights; this is not about their method." in invoked(database, "theirs", "lora").stdout
    )


def test_two_runs_are_named_by_the_first_digits_of_their_ids(database: Database) -> None:
    runs = filled(database, range(2))
    first, second = runs[("lora", 0)][0].spec.run_id, runs[("lora", 1)][0].spec.run_id
    shown = invoked(database, first[:8], second[:8])

    assert shown.exit_code == 0
    assert f"A: {first[:8]}" in shown.stdout


def test_without_outcomes_the_means_are_shown_and_nothing_is_claimed(database: Database) -> None:
    runs = asked("lora"), asked("dora")
    database.register(*runs)
    for run, value in zip(runs, (0.5, 0.75), strict=True):
        database.complete(run, dict.fromkeys(TASKS, (value, 0.02)))
    document = json.loads(invoked(database, "dora", "lora", "--json").stdout)

    assert document["average"]["difference"] == pytest.approx(25)
    assert (document["average"]["p_value"], document["average"]["ci_low"]) == (None, None)
    assert "–" in invoked(database, "dora", "lora").stdout


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("lora", "doraa"), "no row or run 'doraa', did you mean 'dora'?"),
        (("lora", "lora"), "'lora' means 2 rows: lora alpha=16, lora alpha=32"),
        (("dora", "vera"), "dora and vera stand on no common leaderboard"),
    ],
)
def test_names_that_do_not_do_are_refused_with_what_there_is(
    database: Database, names: tuple[str, str], message: str
) -> None:
    two = [asked("lora", alpha=16), asked("lora", alpha=32)] if names == ("lora", "lora") else [asked("lora")]
    for experiment, runs in {"first": [*two, asked("dora")], "second": [asked("vera", model="other")]}.items():
        database.register(*runs, experiment=experiment)
        for run in runs:
            database.answer(run, answers(1, 0.5))

    with pytest.raises(NotFoundError) as refused:
        invoked(database, *names)
    assert message in str(refused.value)


def test_runs_without_a_common_seed_or_task_are_refused(database: Database) -> None:
    runs = [asked("lora", seed=0), asked("lora", seed=1), asked("dora", seed=2), asked("dora", seed=3)]
    database.register(*runs)
    for run in runs:
        database.answer(run, answers(1, 0.5))

    with pytest.raises(NotFoundError, match="lora and dora have no seed in common"):
        invoked(database, "lora", "dora")


def test_an_empty_database_says_what_fills_it(database: Database) -> None:
    with pytest.raises(NotFoundError, match="harness run EXPERIMENT makes some"):
        invoked(database, "lora", "dora")


def test_items_that_only_one_side_answered_do_not_count(database: Database) -> None:
    lora, dora = asked("lora"), asked("dora")
    database.register(lora, dora, tasks=TASKS[:1])
    database.answer(lora, {TASKS[0]: [1, 0, 1, 1]}, items=[0, 1, 2, 3])
    with open_store(database.url) as store:
        claim = store.claim(dora.spec.run_id, "worker", "cpu")
        assert claim is not None
        samples = tuple(Sample(i, f"hash{i}", y) for i, y in ((2, 0.0), (3, 1.0), (4, 1.0)))
        scored = TaskResult(TASKS[0], "1.0", "f1", (Score("accuracy", 2 / 3, 0.3, 3),), samples, 1.0)
        store.record_task(claim, scored)
        store.finish(claim, {})
    (task,) = json.loads(invoked(database, "lora", "dora", "--json").stdout)["tasks"]

    assert (task["n"], task["wins"], task["losses"], task["ties"]) == (2, 1, 0, 1)
