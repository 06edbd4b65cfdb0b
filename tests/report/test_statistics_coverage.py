"""Intervals hold the truth and groups are right as often as docs/statistics.md says, by simulation."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from harness.report.statistics.pairs import compare_all
from tests.report.one_method import mean_over_seeds

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "coverage.py"
BOOTSTRAP = ROOT / "benchmarks" / "bootstrap.py"


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"simulated_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def simulated() -> ModuleType:
    return script(SCRIPT)


@pytest.mark.parametrize(("seeds", "spread", "tasks"), [(3, 1.0, 1), (5, 0.0, 1), (3, 2.0, 3)])
def test_a_few_boards_are_not_far_off(simulated: ModuleType, seeds: int, spread: float, tasks: int) -> None:
    setting = simulated.Setting(seeds, 300, spread, tasks=tasks)
    rates = simulated.simulate(setting, 120, np.random.default_rng(1))
    assert rates.means > 0.91 and rates.differences > 0.92
    assert rates.false_positives < 0.09 and rates.false_groups < 0.09
    if tasks == 1:
        assert rates.weights_means > 0.91 and rates.weights_differences > 0.91


def test_the_textbook_s_t_test_would_separate_equals_too_often(simulated: ModuleType) -> None:
    rates = simulated.simulate(simulated.Setting(3, 300, 2.0), 150, np.random.default_rng(2))
    assert rates.satterthwaite_false_groups > max(0.07, rates.false_groups)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("spread", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("items", [200, 2000])
def test_intervals_and_groups_keep_their_promise(simulated: ModuleType, seeds: int, spread: float, items: int) -> None:
    """Of 1,000 boards; the bounds leave three standard errors of their counts."""
    rates = simulated.simulate(simulated.Setting(seeds, items, spread), 1000, np.random.default_rng(3))
    widest = 0.99 if seeds == 3 else 0.98
    for covered in (rates.means, rates.differences):
        assert 0.93 < covered < widest
    assert rates.false_positives < 0.07 and rates.false_groups < 0.07
    assert 0.93 < rates.weights_means < 0.975 and 0.93 < rates.weights_differences < 0.975


def test_the_simulation_s_truth_is_the_mean_of_what_it_draws(simulated: ModuleType) -> None:
    world = simulated.World(simulated.Setting(400, 400, 2.0), np.random.default_rng(4))
    means = [world.outcomes(world.seed_effects()).mean(axis=(1, 2)) for _ in range(12)]
    assert np.mean(means, axis=0) == pytest.approx(world.truth, abs=0.015)
    by_seed = world.outcomes(world.seed_effects()).mean(axis=2).std(axis=1)
    assert by_seed.mean() == pytest.approx(np.hypot(0.02, (0.11 / 400) ** 0.5), rel=0.1)


def test_a_mean_is_the_difference_from_a_method_that_is_never_right() -> None:
    outcomes = np.random.default_rng(5).random((2, 4, 300)) < 0.6
    outcomes[1] = False
    pairs = compare_all([outcomes], np.ones((2, 4), bool))
    mean = mean_over_seeds([outcomes[0]])
    assert pairs.difference[0, 1] == pytest.approx(mean.value)
    assert 2 * pairs.half_width[0, 1] == pytest.approx(mean.ci_high - mean.ci_low)


def test_the_script_prints_a_table_or_one_document() -> None:
    command = [sys.executable, SCRIPT, "--replications", "2", "--seeds", "3", "--items", "50", "--spreads", "1"]
    table = subprocess.run([*command, "--only", "grid"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert table.startswith("| seeds | items | spread |") and len(table.splitlines()) == 3
    document = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert len(document["rates"]) == 8 and document["settings"]["replications"] == 2


def test_the_bootstrap_agrees_where_seeds_are_many() -> None:
    generator = np.random.default_rng(11)
    of_seeds, of_items = 0.3 * generator.normal(size=(30, 1)), generator.normal(size=200)
    outcomes = 5 + of_seeds + of_items + generator.normal(size=(30, 200))
    bootstrap = script(BOOTSTRAP).crossed_bootstrap
    low, high = bootstrap(outcomes, draws=1000)
    found = mean_over_seeds([outcomes])
    assert high - low == pytest.approx(found.ci_high - found.ci_low, rel=0.15)
    assert (low, high) == bootstrap(outcomes, draws=1000)


def test_the_bootstrap_holds_the_truth_far_too_seldom_with_few_seeds() -> None:
    bootstrap, ours = script(BOOTSTRAP).held(3, 60)
    assert bootstrap < 0.9 * 60 < ours
