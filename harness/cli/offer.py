"""What `harness run` offers where an experiment can't be run here as it stands."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence

import click

from harness.cli.main import INVALID
from harness.errors import UnfitError
from harness.spec.experiment import ExperimentSpec

NONE = "none"


def offer(error: UnfitError, experiment: ExperimentSpec, load: Callable[[str], ExperimentSpec], may_ask: bool) -> None:
    """Says what is lacking and which profiles fit this machine, as commands; on a terminal runs one on request.

    load: the experiment at a profile; may_ask: whether somebody may be asked. Ends the command or the process.
    """
    from harness.schedule.offers import fitting

    click.echo(str(error), err=True)
    profiles = list(fitting(experiment, load))
    if profiles:
        click.echo(f"{experiment.name} ({experiment.profile}) can't be run here; what fits this machine:", err=True)
    for profile in profiles:
        click.echo(f"  {shlex.join(['harness', *_again(sys.argv[1:], profile)])}", err=True)
    if profiles and may_ask and sys.stdin.isatty() and sys.stderr.isatty():
        choices = click.Choice([*profiles, NONE])
        taken = click.prompt("Run one of them now?", default=NONE, type=choices, err=True)
        if taken != NONE:
            sys.stdout.flush()
            os.execv(sys.executable, [sys.executable, "-m", "harness", *_again(sys.argv[1:], taken)])  # noqa: S606
    click.get_current_context().exit(INVALID)


def _again(arguments: Sequence[str], profile: str) -> list[str]:
    """The arguments of the command with this profile in the place of its own."""
    kept = [
        argument
        for argument, before in zip(arguments, ("", *arguments), strict=False)
        if not (argument.startswith("--profile=") or "--profile" in (argument, before))
    ]
    return [*kept, "--profile", profile]
