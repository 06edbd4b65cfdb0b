"""`harness status`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from harness.cli.main import Settings
from harness.cli.options import as_json, dash, experiment_options, load_with_points, print_json, reading

if TYPE_CHECKING:
    from harness.store.store import Store

STATUSES = ("pending", "running", "complete", "failed", "cancelled")
WATCH_SECONDS = 2.0
LISTED = 200
"""Runs in the list of all that are recorded: those that run, then failed, waiting and the latest complete ones."""
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
    """Show runs by status and stage: those of SPEC, or all that are recorded.

    Of many, those that run are listed, then the failed, the waiting and the latest complete ones; `--json` gives all.
    """
    if spec is None and (profile or changes or limit):
        raise click.UsageError("--profile, --set and --limit are about SPEC: name it")

    def document(listed: int | None = None) -> dict[str, Any]:
        return _status(settings, _wanted(settings, spec, profile, changes, limit) if spec else None, listed)

    if as_json:
        print_json(document())
        return
    found = document(LISTED)
    _show(found)
    while watch and any(row["status"] == "running" and row["alive"] for row in found["runs"]):
        time.sleep(WATCH_SECONDS)
        found = document(LISTED)
        click.clear()
        _show(found)


def _status(settings: Settings, wanted: Rows | None, listed: int | None) -> dict[str, Any]:
    """The document that `--json` prints. listed: so many runs at most, where none are wanted."""
    with reading(settings) as store:
        rows = _recorded(store, wanted, listed) if store else {}
        counts = store.counts() if store and wanted is None else {}
    if wanted is None:
        return {"counts": {name: counts.get(name, 0) for name in STATUSES}, "runs": list(rows.values())}
    runs = [blank | rows.get(run_id, {}) for run_id, blank in wanted.items()]
    return {"counts": {name: sum(row["status"] == name for row in runs) for name in STATUSES}, "runs": runs}


def _recorded(store: Store, wanted: Rows | None, listed: int | None) -> Rows:
    """What is recorded of the runs; of one in several experiments, its place in `wanted`, else in the latest."""
    rows = Rows()
    for run in store.listing(None if wanted is None else list(wanted), listed):
        named = (wanted or {}).get(run.run_id, {})
        rows[run.run_id] = {
            "run_id": run.run_id,
            "experiment": named.get("experiment", run.experiment),
            "label": named.get("label", run.label),
            "status": run.status,
            "stage": run.stage,
            "attempts": run.attempts,
            "error": run.error,
            "seed": run.seed,
            "alive": None,
        }
    _look_for_workers(store, [row for row in rows.values() if row["status"] == "running"])
    return rows


def _look_for_workers(store: Store, running: Sequence[dict[str, Any]]) -> None:
    """Whether somebody is at these runs."""
    if not running:
        return
    from harness.pipeline.workers import is_gone

    states = store.states([row["run_id"] for row in running])
    for row in running:
        row["alive"] = not is_gone(states[row["run_id"]])


def _wanted(settings: Settings, spec: str, profile: str | None, changes: tuple[str, ...], limit: int | None) -> Rows:
    """The experiment's runs as they are before anything is recorded, but for what tuning has chosen."""
    from harness.pipeline.tuning import tried
    from harness.spec.grid import points

    experiment, found = load_with_points(settings, spec, profile, changes, limit)
    if experiment.file.select:
        with reading(settings) as store:
            found = points(experiment, tried(experiment, store))
    blank = {"status": "pending", "stage": None, "attempts": 0, "error": None}
    return {
        point.run.run_id: {"run_id": point.run.run_id, "experiment": experiment.name, "label": point.label}
        | blank
        | {"seed": point.run.seed, "alive": None}
        for point in found
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
    if left := sum(document["counts"].values()) - len(document["runs"]):
        click.echo(f"{left:,} more: harness status EXPERIMENT.yaml, or --json for all")
