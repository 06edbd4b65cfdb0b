from __future__ import annotations

import math

import pytest

from harness.report.estimates import Estimate, averageable, falls, over_seeds, over_tasks, scale, with_interval


def test_one_seed_keeps_the_error_of_its_items() -> None:
    assert over_seeds([Estimate(80.0, 2.0)]) == Estimate(80.0, 2.0)


def test_seeds_add_their_spread_to_the_error_of_the_items_they_share() -> None:
    joined = over_seeds([Estimate(80.0, 2.0), Estimate(84.0, 1.0), Estimate(85.0, 2.0)])
    assert joined.value == pytest.approx(83.0)
    assert joined.stderr == pytest.approx(math.sqrt((4 + 1 + 4) / 3 + 7.0 / 3))


def test_more_seeds_do_not_shrink_the_error_of_the_items() -> None:
    assert over_seeds([Estimate(80.0, 2.0)] * 10).stderr == pytest.approx(2.0)


def test_an_unknown_error_is_never_zero() -> None:
    assert over_seeds([Estimate(80.0, 2.0), Estimate(84.0, None)]).stderr is None
    assert over_tasks([Estimate(80.0, 2.0), Estimate(84.0, None)], [1, 1]).stderr is None
    assert with_interval(Estimate(80.0, None)).ci_low is None


def test_tasks_of_one_weight_count_alike() -> None:
    joined = over_tasks([Estimate(80.0, 3.0), Estimate(60.0, 4.0)], [1, 1])
    assert (joined.value, joined.stderr) == (70.0, 2.5)


def test_a_heavier_task_counts_more_and_so_does_its_error() -> None:
    joined = over_tasks([Estimate(80.0, 2.0), Estimate(60.0, 3.0)], [3, 1])
    assert joined.value == pytest.approx((80 + 80 + 80 + 60) / 4)
    assert joined.stderr == pytest.approx(math.sqrt((0.75 * 2) ** 2 + (0.25 * 3) ** 2))


def test_only_shares_become_percent() -> None:
    assert [scale(name) for name in ("accuracy", "acc_norm", "exact_match,strict", "perplexity")] == [100, 100, 100, 1]


def test_shares_are_not_averaged_with_other_metrics() -> None:
    assert averageable(["accuracy", "f1"])
    assert averageable(["perplexity", "perplexity"])
    assert not averageable(["accuracy", "perplexity"])


def test_less_perplexity_is_better() -> None:
    assert falls({"perplexity"})
    assert not falls({"accuracy"})
    assert not falls(set())
