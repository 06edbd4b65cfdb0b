"""An option that is passed on to Slurm's sbatch."""

from __future__ import annotations

from typing import Any

import click


class SbatchOption(click.ParamType):
    """`name=value`, or `name` alone for an option without a value, as sbatch has them after `--`."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """See click: the name without dashes before it, and the value, empty where there is none."""
        if isinstance(value, tuple):
            return value
        name, _, given = str(value).partition("=")
        name = name.strip().removeprefix("--")
        if not name.replace("-", "").replace("_", "").isalnum():
            self.fail(f"{value!r} is no option of sbatch; give NAME=VALUE, such as time=4:00:00", param, ctx)
        return name, given
