"""A leaderboard's pairs at once, its letters, and what would settle the pairs that stay open."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from harness.report.statistics.letters import letters
from harness.report.statistics.noise import Noise
from harness.report.statistics.paired import compare
from harness.report.statistics.pairs import Pairs, compare_all, wins
from harness.report.statistics.settling import Settling, detectable, settling

ALL = np.ones((6, 4), bool)


def boards(kind: str) -> list[np.ndarray]:
    """Two tasks of six methods with four seeds on 60 and 90 items; outcomes are 0/1 or real."""
    generator = np.random.default_rng(2)
    found = []
    for items in (60, 90):
        merit = generator.normal(size=items) + generator.normal(scale=0.3, size=(6, 4, 1))
        values = merit + generator.normal(size=(6, 4, items))
        found.append(values > 0 if kind == "binary" else 300 + values)
    return found


def assert_same(pairs: Pairs, a: int, b: int, tasks: list[np.ndarray], seeds: list[int], weights: list[float]) -> None:
    one = compare([task[a][seeds] for task in tasks], [task[b][seeds] for task in tasks], weights)
    found = pairs.noise(a, b)
    assert pairs.difference[a, b] == pytest.approx(one.difference)
    assert pairs.p_value[a, b] == pytest.approx(one.p_value, rel=1e-6)
    assert pairs.half_width[a, b] == pytest.approx((one.ci_high - one.ci_low) / 2, rel=1e-6)
    parts = np.array([one.noise.seed, one.noise.item, one.noise.residual, len(seeds)])
    assert np.array([found.seed, found.item, found.residual, found.seeds]) == pytest.approx(parts, rel=1e-6)


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_all_pairs_at_once_are_what_each_pair_is_alone(kind: str) -> None:
    tasks, weights = boards(kind), [2.0, 1.0]
    pairs = compare_all(tasks, ALL, weights)
    for a, b in combinations(range(6), 2):
        assert_same(pairs, a, b, tasks, [0, 1, 2, 3], weights)
        assert pairs.difference[b, a] == -pairs.difference[a, b]
        assert pairs.p_value[b, a] == pairs.p_value[a, b]


def test_a_pair_is_compared_on_the_seeds_that_both_have() -> None:
    tasks, present = boards("binary"), ALL.copy()
    present[1, 0] = present[2, 3] = present[4, 1:] = False
    pairs = compare_all(tasks, present)
    assert_same(pairs, 0, 1, tasks, [1, 2, 3], [1, 1])
    assert_same(pairs, 1, 2, tasks, [1, 2], [1, 1])
    assert_same(pairs, 3, 5, tasks, [0, 1, 2, 3], [1, 1])
    assert np.isnan(pairs.p_value[4]).all() and np.isnan(pairs.difference[:, 4]).all()
    assert (pairs.seeds[0, 4], pairs.seeds[1, 4]) == (1, 0)


def test_the_board_s_noise_is_the_median_of_the_pairs_with_most_seeds() -> None:
    present = ALL.copy()
    present[1, 0] = False
    pairs = compare_all(boards("binary"), present)
    chosen = [pairs.seed[a, b] for a, b in combinations([0, 2, 3, 4, 5], 2)]
    assert pairs.typical().seeds == 4
    assert pairs.typical().seed == pytest.approx(np.median(chosen))
    assert compare_all(boards("binary"), ALL & (np.arange(4) == 0)).typical() is None


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_items_won_are_counted_for_all_pairs(kind: str) -> None:
    task = boards(kind)[0]
    counted = wins(task)
    for a, b in combinations(range(6), 2):
        one = compare([task[a]], [task[b]])
        assert (counted[a, b], counted[b, a]) == (one.wins, one.losses)


def test_one_item_leaves_nothing_known() -> None:
    pairs = compare_all([boards("binary")[0][:, :, :1]], ALL)
    assert np.isnan(pairs.p_value[0, 1]) or pairs.p_value[0, 1] > 0.9


@pytest.mark.parametrize(
    ("tasks", "weights"), [([np.ones((6, 3, 9))], None), ([np.ones((6, 9))], None), ([np.ones((6, 4, 9))], [1, 1])]
)
def test_outcomes_that_do_not_fit_the_board_are_refused(tasks: list, weights: list | None) -> None:
    with pytest.raises(ValueError, match=r"got|weights"):
        compare_all(tasks, ALL, weights)


def matrix(size: int, separated: list[tuple[int, int]]) -> np.ndarray:
    found = np.zeros((size, size), bool)
    for a, b in separated:
        found[a, b] = found[b, a] = True
    return found


@pytest.mark.parametrize(
    ("size", "separated", "expected"),
    [
        (0, [], ()),
        (1, [], ("a",)),
        (3, [], ("a", "a", "a")),
        (3, [(0, 2)], ("a", "ab", "b")),
        (3, [(0, 1), (0, 2), (1, 2)], ("a", "b", "c")),
        (4, [(0, 3), (1, 3)], ("a", "a", "ab", "b")),
        (4, [(0, 1)], ("a", "b", "ab", "ab")),
    ],
)
def test_letters_of_small_boards(size: int, separated: list[tuple[int, int]], expected: tuple[str, ...]) -> None:
    assert letters(matrix(size, separated)) == expected


def assert_letters_say(found: tuple[str, ...], separated: np.ndarray) -> None:
    groups = [set(each.split(",")) if "," in each else set(each) for each in found]
    for a, b in combinations(range(len(separated)), 2):
        assert bool(groups[a] & groups[b]) != separated[a, b]
    assert all(groups)


@pytest.mark.parametrize("seed", range(20))
def test_two_methods_share_a_letter_exactly_if_they_are_not_separated(seed: int) -> None:
    generator = np.random.default_rng(seed)
    size = int(generator.integers(2, 16))
    separated = np.triu(generator.random((size, size)) < generator.random(), 1)
    found = letters(separated | separated.T)
    assert_letters_say(found, separated | separated.T)
    assert "a" in found[0]


def test_sixty_methods_get_letters() -> None:
    merits = np.sort(np.random.default_rng(0).normal(size=60))[::-1]
    noise = np.random.default_rng(1).uniform(0.3, 0.6, (60, 60))
    gaps = np.abs(merits[:, None] - merits) > np.maximum(noise, noise.T)
    found = letters(gaps)
    groups = [set(each.split(",")) for each in found]
    assert all(bool(groups[a] & groups[b]) != gaps[a, b] for a, b in combinations(range(60), 2))


def test_two_hundred_methods_of_which_few_pairs_are_separated_get_letters_at_once() -> None:
    """Each separated pair doubles the largest sets of methods that are not: here there are 2**40."""
    separated = np.zeros((200, 200), bool)
    separated[range(0, 80, 2), range(1, 80, 2)] = True
    assert_letters_say(letters(separated | separated.T), separated | separated.T)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_what_seeds_can_detect_is_what_a_t_test_can(seeds: int) -> None:
    spread = 0.8
    found = detectable(Noise(np.array(spread**2 / seeds), np.array(0.0), np.array(0.0), seeds))
    expected = TTestPower().solve_power(nobs=seeds, alpha=0.05, power=0.8) * spread
    assert found == pytest.approx(expected, rel=1e-3)


def test_what_items_can_detect_is_what_a_z_test_can() -> None:
    noise = Noise(np.array(0.0), np.array(4.0), np.array(0.0), 3)
    assert detectable(noise) == pytest.approx(2 * (1.959964 + 0.841621), rel=1e-3)
    assert detectable(noise, alpha=0.001) == pytest.approx(2 * (3.290527 + 0.841621), rel=1e-3)


def test_a_pair_open_for_want_of_seeds_needs_seeds() -> None:
    noise = Noise(np.array(0.04), np.array(1e-4), np.array(0.0), 3)
    found = settling(0.3, noise, items=1000)
    assert found.items is None
    k = 3 + found.seeds
    assert detectable(Noise(noise.seed * 3 / k, noise.item, noise.residual, k)) <= 0.3
    assert detectable(Noise(noise.seed * 3 / (k - 1), noise.item, noise.residual, k - 1)) > 0.3


def test_a_pair_open_for_want_of_items_needs_items() -> None:
    noise = Noise(np.array(1e-4), np.array(0.04), np.array(1e-4), 3)
    found = settling(-0.3, noise, items=1000)
    assert found.seeds is None
    part = 1000 / (1000 + found.items)
    assert detectable(Noise(noise.seed * part, noise.item * part, noise.residual * part, 3)) == pytest.approx(
        0.3, rel=1e-3
    )


def test_a_stricter_level_needs_more() -> None:
    noise = Noise(np.array(0.04), np.array(1e-4), np.array(0.02), 3)
    assert settling(0.3, noise, 1000, alpha=0.05 / 15).seeds > settling(0.3, noise, 1000).seeds


def test_nothing_settles_what_is_equal_and_one_seed_can_not_say() -> None:
    noise = Noise(np.array(0.01), np.array(0.01), np.array(0.005), 3)
    assert settling(0.0, noise, 500) == Settling(None, None)
    assert settling(9.0, Noise(np.array(0.0), np.array(0.01), np.array(0.0), 1), 500) == Settling(None, None)


def test_a_report_does_not_wait_for_scipy() -> None:
    modules = ", ".join(f"harness.report.statistics.{name}" for name in ("pairs", "paired", "settling", "letters"))
    code = f"import sys, {modules}; print('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
