"""Pairs of trained weights: what a board says of rows that have one seed each."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from harness.report.leaderboard import leaderboard
from harness.store.store import open_store

from .database import TASKS, Database, asked

ITEMS = 80
CHANCES = {"lora": 0.4, "dora": 0.55, "vera": 0.9, "none": 0.35}


def filled(database: Database, seeds: int = 1) -> dict[str, dict[str, np.ndarray]]:
    draw = np.random.default_rng(0)
    found = {name: {task: draw.uniform(size=ITEMS) < chance for task in TASKS} for name, chance in CHANCES.items()}
    runs = [(name, asked(name, seed=seed)) for name in CHANCES for seed in range(1 if name == "none" else seeds)]
    database.register(*(run for _, run in runs))
    for name, run in runs:
        database.answer(run, {task: [float(right) for right in found[name][task]] for task in TASKS})
    return found


def test_each_pair_is_compared_on_the_items_alone(database: Database) -> None:
    answers = filled(database)
    with open_store(database.url, read_only=True) as store:
        matrix = leaderboard(store).weights_matrix()
    assert matrix is not None
    names = [row.method for row in matrix.rows]
    assert set(names) == set(CHANCES)
    p_values = {}
    for a, b in combinations(range(4), 2):
        gaps = [answers[names[a]][task].astype(float) - answers[names[b]][task] for task in TASKS]
        difference = 100 * np.mean([gap.mean() for gap in gaps])
        pair = matrix.pair(a, b)
        assert pair["difference"] == pytest.approx(difference)
        assert pair["wins"] == sum((gap > 0).sum() for gap in gaps)
        assert pair["losses"] == sum((gap < 0).sum() for gap in gaps)
        assert pair["ties"] == 2 * ITEMS - pair["wins"] - pair["losses"]
        stderr = 50 * np.sqrt(sum(gap.var(ddof=1) / ITEMS for gap in gaps))
        assert pair["p_value"] == pytest.approx(2 * stats.norm.sf(abs(difference) / stderr), abs=0.02)
        assert pair["ci_high"] - pair["ci_low"] == pytest.approx(2 * 1.96 * stderr, rel=0.06)
        turned = matrix.pair(b, a)
        assert (turned["difference"], turned["ci_low"]) == (-pair["difference"], -pair["ci_high"])
        assert turned["wins"] == pair["losses"]
        p_values[a, b] = pair["p_value"]
    smallest = min(p_values, key=p_values.__getitem__)
    assert matrix.pair(*smallest)["adjusted"] == pytest.approx(6 * p_values[smallest])


def test_rows_of_several_seeds_are_not_compared_as_weights(database: Database) -> None:
    filled(database, seeds=2)
    with open_store(database.url, read_only=True) as store:
        board = leaderboard(store)
    assert board.matrix is not None
    assert board.weights_matrix() is None  # the bare base alone has no second seed


def test_without_outcomes_of_single_items_nothing_is_compared(database: Database) -> None:
    runs = [asked(name) for name in ("lora", "dora")]
    database.register(*runs)
    for run in runs:
        database.complete(run, dict.fromkeys(TASKS, (0.5, 0.02)))
    with open_store(database.url, read_only=True) as store:
        assert leaderboard(store).weights_matrix() is None
