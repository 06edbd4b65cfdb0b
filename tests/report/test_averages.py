"""What an average is over: a benchmark's tasks with their weights, of one suite."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.report.leaderboard import leaderboard, leaderboards
from harness.report.render import render
from harness.store.store import Store

from .database import TASKS, Asked, Database, asked, scores

WEIGHTED = {"title": "My own", "weights": {TASKS[0]: 3, TASKS[1]: 1}, "suites": dict.fromkeys(TASKS, "micro")}


def weighed(database: Database, *runs: tuple[Asked, float, float], **place: Any) -> None:
    database.register(*(run for run, _, _ in runs), **{"benchmark": "mine", "about": WEIGHTED, **place})
    for run, first, second in runs:
        database.complete(run, scores(first, second))


def test_the_average_is_the_weighted_one_with_its_own_error(database: Database, store: Store) -> None:
    weighed(database, (asked(), 0.6, 0.2))
    row = leaderboard(store).rows[0]
    assert row.average is not None
    error = math.sqrt((0.75 * 2) ** 2 + (0.25 * 3) ** 2)
    assert (row.average.value, row.average.stderr) == (pytest.approx(50), pytest.approx(error))
    assert (row.average.ci_low, row.average.ci_high) == (
        pytest.approx(50 - 1.96 * error),
        pytest.approx(50 + 1.96 * error),
    )


def test_seeds_of_a_weighted_average_add_their_spread(database: Database, store: Store) -> None:
    weighed(database, (asked(seed=0), 0.6, 0.2), (asked(seed=1), 0.7, 0.3))
    average = leaderboard(store).rows[0].average
    items, spread = (0.75 * 2) ** 2 + (0.25 * 3) ** 2, (60 - 50) ** 2 / 2
    assert average is not None
    assert (average.value, average.stderr) == (pytest.approx(55), pytest.approx(math.sqrt(items + spread / 2)))


def test_weights_decide_the_ranks(database: Database, store: Store) -> None:
    weighed(database, (asked("lora"), 0.6, 0.5), (asked("dora"), 0.5, 0.7))
    assert [row.label for row in leaderboard(store).rows] == ["lora", "dora"]


def test_a_weighted_average_says_so(database: Database, store: Store) -> None:
    weighed(database, (asked(), 0.6, 0.2))
    text = render(leaderboards(store), "table")
    assert text.startswith("My own · tiny\n")
    assert "Weighted" in text.splitlines()[1]
    assert "The average is weighted: Two-way choice 3, Four-way choice 1." in text
    assert leaderboard(store).to_json()["weights"] == {TASKS[0]: 3, TASKS[1]: 1}


def test_equal_weights_are_not_mentioned(database: Database, store: Store) -> None:
    weighed(database, (asked(), 0.6, 0.2), about={**WEIGHTED, "weights": {}})
    text = render(leaderboards(store), "table")
    assert "eighted" not in text
    assert leaderboard(store).to_json()["weights"] == {}


def test_a_benchmark_whose_weights_changed_is_another_board(database: Database, store: Store) -> None:
    weighed(database, (asked(), 0.6, 0.2))
    database.register(asked(), experiment="second", benchmark="mine", about={**WEIGHTED, "weights": {}})
    found = leaderboards(store)
    assert sorted(board.rows[0].average.value for board in found if board.rows[0].average) == [
        pytest.approx(40),
        pytest.approx(50),
    ]
    assert found[0].others[0]["weights"] != found[0].weights


SUITES = [
    {TASKS[0]: "llm_adapters", TASKS[1]: "lm_eval"},
    {TASKS[0]: "llm_adapters", TASKS[1]: "own"},
    {TASKS[0]: "lm_eval", TASKS[1]: "own"},
]


@pytest.mark.parametrize("suites", SUITES, ids=lambda suites: "+".join(suites.values()))
def test_suites_are_never_averaged_together(suites: dict[str, str], database: Database, store: Store) -> None:
    weighed(database, (asked(), 0.6, 0.2), about={**WEIGHTED, "weights": {}, "suites": suites})
    board = leaderboard(store)
    assert (board.rows[0].average, board.rows[0].rank, len(board.rows[0].scores)) == (None, None, 2)
    listed = ", ".join(suites.values())
    assert f"No average: numbers of different suites ({listed}) do not compare." in board.notes
    assert not any("lacks a task" in note for note in board.notes)


def test_suites_that_were_not_recorded_are_read_off_the_names(database: Database, store: Store) -> None:
    names = ("llm_adapters_boolq", "boolq")
    database.register(asked(), benchmark="both", tasks=names)
    database.complete(asked(), dict.fromkeys(names, (0.5, 0.01)))
    board = leaderboard(store)
    assert board.rows[0].average is None
    assert set(board.rows[0].scores) == set(names)
    heads = render([board], "markdown").splitlines()[2].split(" | ")
    assert [head for head in heads if "bool" in head.lower()] == ["BoolQ", "boolq"]


def test_a_users_own_suite_has_an_average(database: Database, store: Store) -> None:
    weighed(database, (asked(), 0.6, 0.2), about={**WEIGHTED, "weights": {}, "suites": dict.fromkeys(TASKS, "own")})
    average = leaderboard(store).rows[0].average
    assert average is not None
    assert average.value == pytest.approx(40)
