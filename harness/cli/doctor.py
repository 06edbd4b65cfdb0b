"""`harness doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from harness.cli.main import Settings
from harness.cli.options import as_json, print_json

SOUND, UNSOUND = 0, 1
COLOURS = {"ok": "green", "note": "yellow", "wrong": "red"}


@click.command()
@as_json
@click.pass_obj
def doctor(settings: Settings, as_json: bool) -> int:
    """Look at this machine and installation: packages, GPUs, memory, folders, database, methods, the hub.

    What keeps the harness from working is `wrong`, what only some need is a `note`; both say what to do. Changes
    nothing, and shows no token. Exit codes: 0 sound, 1 something is wrong.
    """
    from harness.pipeline.doctor.examine import examine

    found = []
    for finding in examine(settings.db, settings.adapters):
        found.append(finding)
        if not as_json and not (settings.quiet and finding.state == "ok"):
            state = click.style(f"{finding.state:<6}", fg=COLOURS[finding.state])
            advice = f" ({finding.advice})" if finding.advice else ""
            click.echo(f"{state}{finding.topic}: {finding.told}{advice}")
    if as_json:
        print_json({"findings": [asdict(finding) for finding in found]})
    return UNSOUND if any(finding.state == "wrong" for finding in found) else SOUND
