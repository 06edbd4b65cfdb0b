"""The distribution behind every interval and p-value, against scipy and against draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.report.statistics.mixture import power, quantile, tail

RATIOS = np.array([0.0, 0.3, 1.0, 2.5, 6.0, 40.0])


@pytest.mark.parametrize("df", [1, 2, 4, 9, 57, 1999])
def test_with_seed_noise_alone_it_is_student_s_t(df: int) -> None:
    expected = 2 * stats.t.sf(RATIOS, df)
    far = expected > 1e-15
    assert tail(RATIOS, 1.0, df)[far] == pytest.approx(expected[far], rel=1e-5)
    assert quantile(1.0, df) == pytest.approx(stats.t.isf(0.025, df), rel=1e-5)
    assert quantile(1.0, df, 0.001) == pytest.approx(stats.t.isf(0.0005, df), rel=1e-5)


@pytest.mark.parametrize("df", [1, 9])
def test_with_item_noise_alone_it_is_normal(df: int) -> None:
    assert tail(RATIOS[:-1], 0.0, df) == pytest.approx(2 * stats.norm.sf(RATIOS[:-1]), rel=1e-9)
    assert quantile(0.0, df) == pytest.approx(stats.norm.isf(0.025), rel=1e-9)


@pytest.mark.parametrize(("df", "share"), [(2, 0.3), (2, 0.8), (4, 0.5)])
def test_with_both_it_is_their_sum(df: int, share: float) -> None:
    generator = np.random.default_rng(1)
    drawn = np.sqrt(share) * generator.standard_t(df, 400_000) + np.sqrt(1 - share) * generator.normal(size=400_000)
    assert tail(2.5, share, df) == pytest.approx(np.mean(np.abs(drawn) > 2.5), abs=0.002)


@pytest.mark.parametrize("df", [1, 2, 4, 9])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_quantile_is_where_the_tail_is_alpha(df: int, alpha: float) -> None:
    shares = np.linspace(0, 1, 201)
    assert tail(quantile(shares, df, alpha), shares, df) == pytest.approx(alpha, rel=1e-3)


@pytest.mark.parametrize("df", [2, 4, 9])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_the_test_errs_no_more_often_than_it_says_wherever_the_noise_comes_from(df: int, alpha: float) -> None:
    spread = stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, df) / df
    for share in (0.05, 0.2, 0.5, 0.8, 0.95):
        seen = share * spread + 1 - share
        errors = 2 * stats.norm.sf(quantile(share * spread / seen, df, alpha) * np.sqrt(seen))
        assert errors.mean() <= alpha * 1.01


@pytest.mark.parametrize("df", [1, 2, 4, 9])
def test_power_with_seed_noise_alone_is_that_of_the_t_test(df: int) -> None:
    for gap in (1.0, 3.0, 6.0):
        level = stats.t.isf(0.025, df)
        expected = stats.nct.sf(level, df, gap) + stats.nct.cdf(-level, df, gap)
        assert power(gap * 2, 4.0, 0.0, df) == pytest.approx(expected, abs=2e-4)


def test_power_without_a_difference_is_the_rate_of_false_alarms() -> None:
    assert power(0.0, 0.0, 1.0, 2) == pytest.approx(0.05, rel=1e-4)
    assert power(0.0, 0.5, 0.5, 4) < 0.05
