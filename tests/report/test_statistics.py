"""Means and paired comparisons, against formulas and libraries that were written by others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from harness.report.statistics.anova import anova
from harness.report.statistics.holm import holm
from harness.report.statistics.mean import means_over_seeds
from harness.report.statistics.paired import compare
from harness.report.statistics.proportions import mcnemar, paired_proportions, wilson
from tests.report.one_method import mean_over_seeds


def crossed(seeds: int, items: int, of_seed: float, of_item: float, generator: np.random.Generator) -> np.ndarray:
    """Real outcomes with a residual of 1 around 5."""
    noise = generator.normal(size=(seeds, items))
    return 5 + of_seed * generator.normal(size=(seeds, 1)) + of_item * generator.normal(size=items) + noise


def centred(generator: np.random.Generator, seeds: int, items: int) -> np.ndarray:
    """Noise without any seed or item effect."""
    noise = generator.normal(size=(seeds, items))
    return noise - noise.mean(axis=0) - noise.mean(axis=1, keepdims=True) + noise.mean()


def tall(outcomes: np.ndarray) -> pd.DataFrame:
    seeds, items = np.indices(outcomes.shape)
    return pd.DataFrame({"y": outcomes.ravel(), "seed": seeds.ravel(), "item": items.ravel()})


def test_the_mean_squares_are_those_of_a_two_way_analysis_of_variance() -> None:
    outcomes = crossed(4, 9, 0.7, 1.2, np.random.default_rng(3))
    expected = anova_lm(ols("y ~ C(seed) + C(item)", tall(outcomes)).fit())["mean_sq"]
    found = anova(outcomes)
    assert [found.ms_seed, found.ms_item, found.ms_residual] == pytest.approx(list(expected))


def test_the_components_are_those_of_a_mixed_model() -> None:
    outcomes = crossed(6, 25, 0.8, 1.1, np.random.default_rng(4))
    table = tall(outcomes)
    parts = {"seed": "0 + C(seed)", "item": "0 + C(item)"}
    fitted = MixedLM.from_formula("y ~ 1", groups=np.ones(len(table)), vc_formula=parts, data=table).fit()
    found = anova(outcomes)
    seed, item = (found.ms_seed - found.ms_residual) / 25, (found.ms_item - found.ms_residual) / 6
    names = fitted.model.exog_vc.names
    assert dict(zip(names, fitted.vcomp)) == pytest.approx({"seed": seed, "item": item}, rel=0.01)
    assert fitted.scale == pytest.approx(found.ms_residual, rel=0.01)
    estimate = mean_over_seeds([outcomes])
    assert estimate.value == pytest.approx(fitted.fe_params["Intercept"])
    assert estimate.stderr == pytest.approx(fitted.bse_fe["Intercept"], rel=0.05)


@pytest.mark.parametrize(("right", "items"), [(0, 20), (7, 20), (200, 200), (1017, 1319)])
def test_one_seed_has_wilson_s_interval_and_speaks_of_its_weights(right: int, items: int) -> None:
    outcomes = np.zeros((1, items), bool)
    outcomes[0, :right] = True
    found = mean_over_seeds([outcomes])
    expected = proportion_confint(right, items, method="wilson")
    assert (found.ci_low, found.ci_high) == pytest.approx(expected)
    assert wilson(right, items) == pytest.approx(expected)
    assert (found.target, found.seeds) == ("weights", 1)


def test_the_seeds_of_equal_items_are_a_t_test_of_their_means() -> None:
    generator = np.random.default_rng(5)
    outcomes = np.array([[0.1], [0.5], [0.2], [0.9]]) + centred(generator, 4, 50)
    expected = stats.ttest_1samp(outcomes.mean(axis=1), 0.0)
    found = compare([outcomes], [np.zeros_like(outcomes)])
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-4)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-4)
    assert found.target == "method"


def test_equal_seeds_are_a_t_test_of_the_items() -> None:
    items = np.random.default_rng(6).normal(0.1, 1.0, 400)
    expected = stats.ttest_1samp(items, 0.0)
    found = compare([np.tile(items, (3, 1))], [np.zeros((3, 400))])
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.02)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expected.confidence_interval()), rel=0.01)


def test_more_seeds_never_shrink_the_noise_of_the_items_they_share() -> None:
    outcomes = np.random.default_rng(7).random(300) < 0.7
    few, many = (mean_over_seeds([np.tile(outcomes, (k, 1))]).stderr for k in (3, 10))
    assert few == pytest.approx(outcomes.std(ddof=1) / 300**0.5, rel=0.05)
    assert many == pytest.approx(few, rel=0.05)


def test_a_seed_that_moves_every_task_alike_does_not_average_away() -> None:
    generator = np.random.default_rng(8)
    effect = np.array([-0.3, 0.0, 0.3])[:, None]
    tasks = [effect + centred(generator, 3, 40) for _ in range(8)]
    assert mean_over_seeds(tasks).stderr == pytest.approx(0.3 / 3**0.5, rel=1e-6)
    apart = [effect + centred(generator, 3, 40), -effect / 2 + centred(generator, 3, 40)]
    assert mean_over_seeds(apart).stderr == pytest.approx(0.3 / 4 / 3**0.5, rel=1e-6)


def test_items_of_different_tasks_average_like_independent_samples_with_their_weights() -> None:
    generator = np.random.default_rng(9)
    first, second = generator.normal(size=300), generator.normal(scale=2.0, size=500)
    found = mean_over_seeds([np.tile(first, (4, 1)), np.tile(second, (4, 1))], [3, 1])
    assert found.value == pytest.approx(0.75 * first.mean() + 0.25 * second.mean())
    expected = np.hypot(0.75 * stats.sem(first), 0.25 * stats.sem(second))
    assert found.stderr == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (9, 3), (40, 41), (120, 80)])
def test_two_weights_are_compared_by_mcnemar_s_exact_test(wins: int, losses: int) -> None:
    a, b = np.zeros((1, 400)), np.zeros((1, 400))
    a[0, :wins], b[0, wins : wins + losses] = 1, 1
    found = compare([a], [b])
    expected = reference_mcnemar([[0, wins], [losses, 400 - wins - losses]], exact=True).pvalue
    assert found.p_value == mcnemar(wins, losses) == pytest.approx(expected)
    assert (found.wins, found.losses, found.ties) == (wins, losses, 400 - wins - losses)
    assert (found.ci_low, found.ci_high) == paired_proportions(wins, losses, 400)
    assert found.target == "weights"


def test_the_interval_of_two_weights_is_bonett_and_price_s() -> None:
    low, high = paired_proportions(30, 12, 200)
    p, q = 31 / 202, 13 / 202
    half = stats.norm.isf(0.025) * ((p + q - (p - q) ** 2) / 202) ** 0.5
    assert (low, high) == pytest.approx((p - q - half, p - q + half))


def test_an_item_is_won_by_the_method_that_is_right_with_more_seeds() -> None:
    a = np.array([[1, 1, 0, 1], [1, 0, 0, 0]])
    b = np.array([[0, 1, 1, 0], [1, 1, 0, 1]])
    found = compare([a], [b])
    assert (found.wins, found.losses, found.ties) == (1, 2, 1)


def test_agreement_everywhere_does_not_prove_equality() -> None:
    outcomes = np.random.default_rng(10).random((3, 200)) < 0.7
    found = compare([outcomes], [outcomes])
    assert found.difference == 0 and found.p_value == pytest.approx(1.0)
    assert found.ci_low < -0.01 and found.ci_high > 0.01


def test_one_win_in_each_seed_proves_nothing() -> None:
    a, b = np.zeros((3, 200)), np.zeros((3, 200))
    a[0, 4] = a[1, 90] = a[2, 150] = 1
    assert compare([a], [b]).p_value > 0.1


def test_all_right_has_an_interval_below() -> None:
    found = mean_over_seeds([np.ones((3, 100))])
    assert (found.ci_low, found.ci_high) == pytest.approx(proportion_confint(100, 100, method="wilson"))


def test_what_never_varied_has_no_interval() -> None:
    found = mean_over_seeds([np.full((3, 50), 0.4)])
    assert (found.ci_low, found.ci_high, found.stderr) == (None, None, None)
    assert compare([np.full((3, 50), 0.4)], [np.full((3, 50), 0.3)]).p_value is None


def test_two_items_prove_nothing_about_others() -> None:
    found = mean_over_seeds([np.array([[1, 0], [1, 1], [0, 1]])])
    assert (found.ci_low, found.ci_high) == (None, None)


def test_holm_is_the_usual_holm_and_skips_what_was_not_compared() -> None:
    p_values = np.random.default_rng(12).random(40) ** 4
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(expected)
    gaps = np.insert(p_values, [0, 7], np.nan)
    assert holm(gaps[~np.isnan(gaps)]) == pytest.approx(expected)
    assert np.isnan(holm(gaps)).tolist() == np.isnan(gaps).tolist()
    assert holm([]).size == 0


@pytest.mark.parametrize(
    ("tasks", "weights", "message"),
    [
        ([[1, 0, 1]], None, "shape"),
        ([[[1.0, np.nan]]], None, "missing"),
        ([np.ones((2, 5)), np.ones((3, 5))], None, "same seeds"),
        ([np.ones((2, 5))], [1, 2], "1 tasks with 2 weights"),
        ([], None, "0 tasks"),
    ],
)
def test_outcomes_that_do_not_fit_are_refused(tasks: list, weights: list | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        means_over_seeds(tasks, weights)


def test_a_comparison_needs_the_same_items_on_both_sides() -> None:
    with pytest.raises(ValueError, match="same seeds and items"):
        compare([np.ones((2, 5))], [np.ones((2, 6))])


@pytest.mark.parametrize("seeds", [1, 4])
def test_means_of_many_methods_at_once_are_those_of_each(seeds: int) -> None:
    generator = np.random.default_rng(21)
    binary = (generator.random((5, seeds, 12)) < 0.6).astype(float)
    binary[0] = 1.0
    real = np.stack([crossed(seeds, 9, 0.5, 1.0, generator) for _ in range(5)])
    for tasks, weights in (([binary], None), ([real], None), ([binary, real], [1.0, 3.0])):
        found = means_over_seeds(tasks, weights)
        for method, mean in enumerate(found):
            alone = mean_over_seeds([task[method] for task in tasks], weights)
            bounds = (mean.value, mean.stderr, mean.ci_low, mean.ci_high)
            assert bounds == pytest.approx((alone.value, alone.stderr, alone.ci_low, alone.ci_high), rel=1e-12)
            assert (mean.seeds, mean.target) == (alone.seeds, alone.target)
