"""Numbers of parameters as a user writes them."""

from __future__ import annotations

from typing import Any

import click

UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}
MOST = 1e15


class Count(click.ParamType):
    """A number of parameters: 500000, 500K, 1.5M, 2B."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int:
        """Raises BadParameter for anything else, and for less than 0."""
        text = str(value).strip().lower().replace(",", "").replace("_", "")
        unit = text[-1:] if text[-1:] in ("k", "m", "b") else ""
        try:
            number = float(text.removesuffix(unit)) * UNITS[unit]
        except ValueError:
            number = -1.0
        if not 0 <= number < MOST:
            self.fail(f"{value!r} is no number of parameters; write 500000, 500K or 1.5M", param, context)
        return round(number)
