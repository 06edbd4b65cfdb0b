"""`harness status`."""

from __future__ import annotations

import time
from typing import Any

import click

from harness.cli.main import Settings
from harness.cli.options import as_json, dash, experiment_options, load, print_json, reading
from harness.store.store import Store

STATUSES = ("pending", "running", "complete", "failed", "cancelled")
WATCH_SECONDS = 2.0
Rows = dict[str, dict[str, Any]]


@click.command()
@click.argument("spec", required=False)
@experiment_options
@click.option("--watch", is_flag=True, help="Refresh until nothing is running.")
@as_json
@click.pass_obj
def status(
    settings: Settings,
    spec: str | None,
    profile: str | None,
    changes: tuple[str, ...],
    limit: int | None,
    watch: bool,
    as_json: bool,
) -> None:
    """Show runs by status and stage: those of SPEC, or all that are recorded."""
    if spec is None and (profile or changes or limit):
        raise click.UsageError("--profile, --set and --limit are about SPEC: name it")

    def document() -> dict[str, Any]:
        return _status(settings, _wanted(settings, spec, profile, changes, limit) if spec else None)

    found = document()
    if as_json:
        print_json(found)
        return
    _show(found)
    while watch and any(row["status"] == "running" and row["alive"] for row in found["runs"]):
        time.sleep(WATCH_SECONDS)
        found = document()
        click.clear()
        _show(found)


def _status(settings: Settings, wanted: Rows | None) -> dict[str, Any]:
    with reading(settings) as store:
        rows = _recorded(store, wanted) if store else {}
    wanted = rows if wanted is None else wanted
    runs = [blank | rows.get(run_id, {}) for run_id, blank in wanted.items()]
    counts = {name: sum(row["status"] == name for row in runs) for name in STATUSES}
    return {"counts": counts, "runs": runs}


def _recorded(store: Store, wanted: Rows | None) -> Rows:
    """What is recorded of the runs; of one in several experiments, its place in `wanted`, else in the latest."""
    from harness.pipeline.workers import is_gone

    places = store.memberships(run_ids=None if wanted is None else list(wanted))
    ids = list(dict.fromkeys(place.run_id for place in places))
    states, rows = store.states(ids), Rows()
    seeds = {record.run_id: record.seed for record in store.runs(ids)}
    for place in places:
        state, named = states[place.run_id], (wanted or {}).get(place.run_id, {})
        row = {
            "run_id": place.run_id,
            "experiment": named.get("experiment", place.experiment),
            "label": named.get("label", place.label),
            "status": state.status,
            "stage": state.stage,
            "attempts": state.attempts,
            "error": state.error,
            "seed": seeds[place.run_id],
            "alive": not is_gone(state) if state.status == "running" else None,
        }
        rows.setdefault(place.run_id, row)
    return rows


def _wanted(settings: Settings, spec: str, profile: str | None, changes: tuple[str, ...], limit: int | None) -> Rows:
    """The experiment's runs as they are before anything is recorded."""
    from harness.spec.grid import points

    experiment = load(settings, spec, profile, changes, limit)
    blank = {"status": "pending", "stage": None, "attempts": 0, "error": None}
    return {
        point.run.run_id: {"run_id": point.run.run_id, "experiment": experiment.name, "label": point.label}
        | blank
        | {"seed": point.run.seed, "alive": None}
        for point in points(experiment)
    }


def _show(document: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in document["counts"].items() if count)
    click.echo(counts or "nothing recorded")
    for row in document["runs"]:
        stage = row["stage"] if row["alive"] is not False else "its worker is gone"
        state = row["status"] + (f" ({stage})" if stage else "")
        seed = "" if row["seed"] is None else f" (seed {row['seed']})"
        error = f"  {row['error'].splitlines()[0]}" if row["error"] else ""
        click.echo(f"{row['run_id']}  {state:18}  {dash(row['experiment'])}: {row['label']}{seed}{error}")
