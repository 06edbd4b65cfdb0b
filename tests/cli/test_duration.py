"""How long a run may take, as an option says it."""

from __future__ import annotations

import click
import pytest

from harness.cli.duration import Duration


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1d", 86400), ("0.5s", 0.5)]
)
def test_a_time_is_read(written: str, seconds: float) -> None:
    assert Duration().convert(written, None, None) == seconds


@pytest.mark.parametrize("written", ["", "2", "0s", "-2h", "2 hours", "1m1h", "inf"])
def test_what_is_no_time_is_refused_with_how_to_write_one(written: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time; write 90s, 30m, 2h, 1h30m or 1d"):
        Duration().convert(written, None, None)
