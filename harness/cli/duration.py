"""A stretch of time as an option."""

from __future__ import annotations

import re
from typing import Any

import click

FORM = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")
SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


class Duration(click.ParamType):
    """`90s`, `30m`, `2h`, `1h30m`, `1d` as seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds. Fails for what is no time, without a unit, or none at all."""
        if isinstance(value, float):
            return value
        found = FORM.fullmatch(str(value).strip().lower())
        parts = found.groupdict() if found else {}
        seconds = sum(float(number) * SECONDS[unit] for unit, number in parts.items() if number)
        if seconds <= 0:
            self.fail(f"{value!r} is no time; write 90s, 30m, 2h, 1h30m or 1d", param, ctx)
        return seconds
