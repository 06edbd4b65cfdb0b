"""How numbers read in tables."""

from __future__ import annotations

import pytest

from harness.report.figures import count


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"), (999, "999"), (1000, "1K"), (12_345, "12.3K"), (999_499, "999K"), (999_500, "1M"), (999_999, "1M"),
        (1_933_312, "1.93M"), (999_999_999, "1B"), (8_030_261_248, "8.03B"), (1_234_567_890_123, "1235B"),
    ],
)  # fmt: skip
def test_parameters_are_counted_in_three_digits(number: int, shown: str) -> None:
    assert count(number) == shown
