"""`harness status`."""

from __future__ import annotations

import time
from typing import Any

import click

from harness.cli.main import Settings
from harness.cli.options import as_json, dash, load, print_json

STATUSES = ("pending", "running", "complete", "failed", "cancelled")
WATCH_SECONDS = 2.0


@click.command()
@click.argument("spec", required=False)
@click.option("--profile", metavar="P", help="Of SPEC.")
@click.option("--watch", is_flag=True, help="Refresh until nothing is running.")
@as_json
@click.pass_obj
def status(settings: Settings, spec: str | None, profile: str | None, watch: bool, as_json: bool) -> None:
    """Show runs by status and stage: those of SPEC, or all that are recorded."""
    document = _status(settings, spec, profile)
    if as_json:
        print_json(document)
        return
    _show(document)
    while watch and document["counts"]["running"]:
        time.sleep(WATCH_SECONDS)
        document = _status(settings, spec, profile)
        click.clear()
        _show(document)


def _status(settings: Settings, spec: str | None, profile: str | None) -> dict[str, Any]:
    from harness.store.store import exists, open_store

    wanted = _wanted(settings, spec, profile) if spec else None
    rows: dict[str, dict[str, Any]] = {}
    if exists(settings.db):
        with open_store(settings.db, read_only=True) as store:
            places = store.memberships(run_ids=None if wanted is None else list(wanted))
            states = store.states(list(dict.fromkeys(place.run_id for place in places)))
        for place in places:
            state = states[place.run_id]
            rows.setdefault(
                place.run_id,
                {
                    "run_id": place.run_id,
                    "experiment": place.experiment,
                    "label": place.label,
                    "status": state.status,
                    "stage": state.stage,
                    "attempts": state.attempts,
                    "error": state.error,
                },
            )
    runs = list(rows.values()) if wanted is None else [rows.get(run_id, blank) for run_id, blank in wanted.items()]
    counts = {name: sum(row["status"] == name for row in runs) for name in STATUSES}
    return {"counts": counts, "runs": runs}


def _wanted(settings: Settings, spec: str, profile: str | None) -> dict[str, dict[str, Any]]:
    """The experiment's runs as they are before anything is recorded."""
    from harness.spec.grid import points

    experiment = load(settings, spec, profile)
    blank = {"experiment": experiment.name, "status": "pending", "stage": None, "attempts": 0, "error": None}
    return {
        point.run.run_id: {"run_id": point.run.run_id, "label": point.label, **blank} for point in points(experiment)
    }


def _show(document: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in document["counts"].items() if count)
    click.echo(counts or "nothing recorded")
    for row in document["runs"]:
        stage = f" ({row['stage']})" if row["stage"] else ""
        error = f"  {row['error']}" if row["error"] else ""
        click.echo(f"{row['run_id']}  {row['status'] + stage:18}  {dash(row['experiment'])}: {row['label']}{error}")
