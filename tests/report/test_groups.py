"""What a board claims about its rows: intervals, letters, what it could have seen, what would settle the rest."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from harness.report.leaderboard import leaderboard
from harness.report.render import render
from harness.store.store import Store

from .database import TASKS, Asked, Database, asked, scores

ITEMS = 400
Outcomes = dict[str, list[int]]


def outcomes(chance: float, seed: int, items: int = ITEMS) -> Outcomes:
    """Answers to both tasks, right with this probability; which items are hard is the same for all."""
    hard = np.random.default_rng(1).uniform(-0.3, 0.3, items)
    draw = np.random.default_rng(seed)
    return {task: [int(right) for right in draw.uniform(size=items) < chance + hard] for task in TASKS}


def raced(database: Database, chances: dict[str, float], seeds: range = range(3)) -> list[tuple[Asked, Outcomes]]:
    runs = [
        (asked(method, seed=seed), outcomes(chance, 100 * number + seed))
        for number, (method, chance) in enumerate(chances.items())
        for seed in seeds
    ]
    database.register(*(run for run, _ in runs))
    for run, answers in runs:
        database.answer(run, answers)
    return runs


def test_a_better_method_gets_a_letter_of_its_own_and_equals_share_one(database: Database, store: Store) -> None:
    raced(database, {"lora": 0.5, "dora": 0.5, "vera": 0.65})
    board = leaderboard(store)

    assert (board.rows[0].label, board.rows[0].group) == ("vera", "a")
    assert {row.group for row in board.rows[1:]} == {"b"}
    assert board.detectable is not None
    assert 0.5 < board.detectable < 15
    assert board.open_pair is not None
    assert {board.open_pair.better, board.open_pair.worse} == {"lora", "dora"}
    assert any("share a letter can't be told apart" in note for note in board.notes)


def test_the_average_is_the_mean_of_all_outcomes_with_an_interval_that_knows_seeds(
    database: Database, store: Store
) -> None:
    runs = raced(database, {"lora": 0.5, "dora": 0.6})
    row = next(row for row in leaderboard(store).rows if row.label == "lora")
    of_seeds = [np.mean([answers[task] for task in TASKS]) for run, answers in runs if run.label == "lora"]

    assert row.average is not None
    assert row.average.value == pytest.approx(100 * np.mean(of_seeds))
    # Wider than the t interval of the seeds' means less the items, and than that of the items alone.
    of_items = 196 * np.sqrt(np.mean(of_seeds) * (1 - np.mean(of_seeds)) / (2 * 3 * ITEMS))
    assert row.average.ci_high is not None
    assert row.average.ci_high - row.average.value > of_items
    assert row.scores[TASKS[0]].ci_low is not None
    assert row.scores[TASKS[0]].ci_low < row.scores[TASKS[0]].value


def test_where_items_all_agree_the_comparison_is_the_paired_t_test_of_the_seeds(
    database: Database, store: Store
) -> None:
    """With the same share of right items on every item there is no item noise: Student's t of the differences."""
    shares = {"lora": (0.50, 0.52, 0.49, 0.53), "dora": (0.60, 0.57, 0.61, 0.58)}
    runs = [(asked(method, seed=n), share) for method, found in shares.items() for n, share in enumerate(found)]
    database.register(*(run for run, _ in runs), tasks=TASKS[:1])
    for run, share in runs:
        database.answer(run, {TASKS[0]: [share] * 50}, metric="f1")
    board = leaderboard(store)

    assert board.matrix is not None
    expected = stats.ttest_rel(shares["dora"], shares["lora"])
    found = board.matrix.pair(0, 1)
    assert found["p_value"] == pytest.approx(expected.pvalue, rel=1e-3)
    low, high = expected.confidence_interval()
    assert (found["ci_low"], found["ci_high"]) == (pytest.approx(100 * low, rel=1e-3), pytest.approx(100 * high, 1e-3))
    assert (found["wins"], found["losses"], found["ties"]) == (50, 0, 0)


def test_rows_with_other_seeds_are_compared_on_common_ones(database: Database, store: Store) -> None:
    runs = [asked("lora", seed=seed) for seed in range(4)] + [asked("dora", seed=seed) for seed in range(1, 6)]
    database.register(*runs)
    for number, run in enumerate(runs):
        database.answer(run, outcomes(0.5, number))
    matrix = leaderboard(store).matrix

    assert matrix is not None
    assert matrix.seeds.tolist() in ([[4, 3], [3, 5]], [[5, 3], [3, 4]])
    assert {row.group for row in leaderboard(store).rows} == {"a"}


def test_the_bare_base_stands_beside_every_seed(database: Database, store: Store) -> None:
    raced(database, {"lora": 0.6, "dora": 0.6})
    base = asked("none")
    database.register(base, experiment="second")
    database.answer(base, outcomes(0.3, 7))

    assert {row.label: row.group for row in leaderboard(store).rows} == {"lora": "a", "dora": "a", "none": "b"}


def test_one_seed_gets_no_letter_and_the_board_says_why(database: Database, store: Store) -> None:
    raced(database, {"lora": 0.5, "dora": 0.65})
    lonely = asked("vera", seed=0)
    database.register(lonely, experiment="second")
    database.answer(lonely, outcomes(0.9, 7))
    board = leaderboard(store)

    assert {row.label: row.group for row in board.rows} == {"vera": None, "dora": "a", "lora": "b"}
    assert any("Rows without a letter have one seed" in note for note in board.notes)
    raw = board.rows[0].scores[TASKS[0]]
    assert raw.ci_low is not None
    low, high = stats.binomtest(round(raw.value * ITEMS / 100), ITEMS).proportion_ci(method="wilson")
    assert (raw.ci_low, raw.ci_high) == (pytest.approx(100 * low), pytest.approx(100 * high))


def test_a_seed_that_lacks_a_task_takes_no_letters_from_the_board(database: Database, store: Store) -> None:
    runs = raced(database, {"lora": 0.5, "dora": 0.8}, seeds=range(2))
    third = asked("lora", seed=2)
    database.register(third, experiment="second")
    database.answer(third, {TASKS[0]: outcomes(0.9, 7)[TASKS[0]]})
    board = leaderboard(store)

    assert {row.label: row.group for row in board.rows} == {"dora": "a", "lora": "b"}
    assert board.matrix is not None
    of_two = np.mean([answers[task] for run, answers in runs if run.label == "lora" for task in TASKS])
    of_dora = np.mean([answers[task] for run, answers in runs if run.label == "dora" for task in TASKS])
    assert board.matrix.difference[0, 1] == pytest.approx(100 * (of_dora - of_two))
    assert board.matrix.seeds[0, 1] == 2


def test_an_adapter_that_was_loaded_is_one_training_and_gets_no_letter(database: Database, store: Store) -> None:
    raced(database, {"lora": 0.5, "dora": 0.7})
    loaded = asked("trained", label="theirs")
    database.register(loaded, experiment="second")
    database.answer(loaded, outcomes(0.9, 7))
    board = leaderboard(store)

    assert {row.label: row.group for row in board.rows} == {"theirs": None, "dora": "a", "lora": "b"}
    assert any("Rows without a letter have one seed" in note for note in board.notes)


def test_rows_that_answered_other_items_are_compared_on_the_common_ones(database: Database, store: Store) -> None:
    runs = [asked(method, seed=seed) for method, seed in itertools.product(("lora", "dora"), range(2))]
    database.register(*runs, tasks=TASKS[:1])
    for number, run in enumerate(runs):
        items = range(100) if run.label == "lora" else range(40, 140)
        database.answer(run, {TASKS[0]: outcomes(0.5, number, 100)[TASKS[0]]}, items=items)
    board = leaderboard(store)

    assert board.matrix is not None
    assert board.matrix.items == 60
    assert any("compared on the 60 items that all rows answered" in note for note in board.notes)


def test_without_outcomes_there_are_no_letters_and_the_board_says_so(database: Database, store: Store) -> None:
    runs = [asked(method, seed=seed) for method, seed in itertools.product(("lora", "dora"), range(2))]
    database.register(*runs)
    for run in runs:
        database.complete(run, scores(0.6, 0.5))
    board = leaderboard(store)

    assert [row.group for row in board.rows] == [None, None]
    assert board.matrix is None
    assert any(note.startswith("No groups: there are no two rows with recorded outcomes") for note in board.notes)


def test_a_metric_that_is_no_mean_of_its_outcomes_is_not_compared(database: Database, store: Store) -> None:
    runs = [asked(method, seed=seed) for method, seed in itertools.product(("lora", "dora"), range(2))]
    database.register(*runs, tasks=TASKS[:1])
    for run in runs:
        database.answer(run, {TASKS[0]: [0, 1, 1, 1]}, fingerprint="f1")
    with_other = asked("vera", seed=0), asked("vera", seed=1)
    database.register(*with_other, tasks=TASKS[:1], experiment="second")
    for run in with_other:
        database.complete(run, {TASKS[0]: (0.9, 0.01)})
    board = leaderboard(store)

    assert {row.label: row.group for row in board.rows} == {"vera": None, "lora": "a", "dora": "a"}
    assert all(row.average is not None for row in board.rows)


def test_the_table_shows_letters_and_intervals(database: Database, store: Store) -> None:
    raced(database, {"lora": 0.5, "dora": 0.7})
    text = render([leaderboard(store)], "table", width=200)

    assert "Group" in text
    assert "95 %" in text
    (best,) = [line for line in text.splitlines() if line.split()[2:3] == ["dora"]]
    assert best.split()[:2] == ["1", "a"]
    for width in (80, 120, 200):
        shown = render([leaderboard(store)], "table", width=width)
        assert max(len(line) for line in shown.splitlines() if "±" in line and "dora" in line) <= width


def test_latex_is_a_booktabs_table_with_the_best_group_in_bold(database: Database, store: Store) -> None:
    raced(database, {"lo_ra & co": 0.6, "dora": 0.6, "vera": 0.3})
    text = render([leaderboard(store)], "latex")
    rows = {line.split(" & ")[0]: line for line in text.splitlines() if line.endswith(r"\\")}

    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    assert r"lo\_ra \& co" in text
    assert r"\textbf" in rows["dora"]
    assert rows["dora"].endswith(r"\textsuperscript{a} \\")
    assert r"\textbf" not in rows["vera"]
    assert rows["vera"].endswith(r"\textsuperscript{b} \\")
    assert text.count("{") == text.count("}")
    assert {line.count(" & ") for name, line in rows.items() if "co" not in line} == {4}


def test_latex_is_bold_where_no_row_is_proved_better_not_where_a_letter_says_so(
    database: Database, store: Store
) -> None:
    raced(database, {"lora": 0.6, "dora": 0.6, "vera": 0.6, "red": 0.6})
    board = leaderboard(store)
    assert board.matrix is not None
    adjusted = np.full((4, 4), 0.9)
    for worse, better in ((2, 1), (3, 2)):
        adjusted[worse, better] = adjusted[better, worse] = 0.01
    rows = tuple(replace(row, group=group) for row, group in zip(board.rows, ("ab", "a", "b", "a"), strict=True))
    text = render(replace(board, rows=rows, matrix=replace(board.matrix, rows=rows, adjusted=adjusted)), "latex")

    bold = [line.split(" & ")[0] for line in text.splitlines() if r"\textbf" in line]
    assert bold == [row.label for row in rows[:2]]


def test_latex_makes_nothing_bold_where_nothing_is_claimed(database: Database, store: Store) -> None:
    raced(database, {"lora": 0.6, "dora": 0.4}, seeds=range(1))

    assert r"\textbf" not in render([leaderboard(store)], "latex")
