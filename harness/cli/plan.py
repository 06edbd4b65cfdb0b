"""`harness plan`."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.main import Settings
from harness.cli.options import as_json, dash, experiment_options, load, print_json
from harness.pipeline.check import Counted
from harness.pipeline.plan import Plan, PlannedRun
from harness.spec.expansion import Point
from harness.spec.experiment import ExperimentSpec
from harness.store.store import Store


@click.command()
@click.argument("spec")
@experiment_options
@click.option("--retry-failed", is_flag=True, help="Plan also what failed before.")
@as_json
@click.pass_obj
def plan(
    settings: Settings,
    spec: str,
    profile: str | None,
    changes: tuple[str, ...],
    limit: int | None,
    retry_failed: bool,
    as_json: bool,
) -> None:
    """Show an experiment's runs: what to train, to score, to reuse, and what blocks.

    Counts trainable parameters without loading weights. Exits with 0, also when something is missing.
    """
    from harness.pipeline.check import count
    from harness.pipeline.plan import plan as make_plan
    from harness.schedule.run import with_configs
    from harness.spec.grid import points

    experiment = load(settings, spec, profile, changes, limit)
    with_configs(experiment)
    found = points(experiment)
    store = _store(settings)
    plans = make_plan([point.run for point in found], store, retry_failed)
    counts = _recorded(plans, store) if store else {}
    counts |= count([planned.run for planned in plans.runs if planned.run.run_id not in counts])
    rows = [_row(planned, point, counts[planned.run.run_id]) for planned, point in zip(plans.runs, found)]
    if as_json:
        print_json({"experiment": experiment.name, "profile": experiment.profile, "runs": rows})
    else:
        _show(experiment, plans, rows, found)


def _store(settings: Settings) -> Store | None:
    from harness.store.store import exists, open_store

    return open_store(settings.db, read_only=True) if exists(settings.db) else None


def _recorded(plans: Plan, store: Store) -> dict[str, Counted]:
    """Parameters that were counted when the adapter was trained."""
    from harness.pipeline.check import Counted

    trained = store.trainings([planned.run.train_id for planned in plans.runs])
    return {
        planned.run.run_id: Counted(known.trainable_params, known.base_params, known.trainable_percent)
        for planned in plans.runs
        if (known := trained.get(planned.run.train_id))
    }


def _row(planned: PlannedRun, point: Point, counted: Counted) -> dict[str, Any]:
    run = planned.run
    problem = counted.problem if planned.action in ("train", "score") else None
    return {
        "run_id": run.run_id,
        "label": point.label,
        "method": run.adapter.method,
        "adapter": run.adapter.model_dump(mode="json", exclude={"params", "mergeable"}),
        "model": run.model.name,
        "seed": run.seed,
        "train": run.train.model_dump(mode="json") if run.train else None,
        "tasks": list(run.tasks),
        "status": planned.status,
        "action": "blocked" if problem else planned.action,
        "reason": problem or planned.reason,
        "trainable_params": counted.trainable_params,
        "base_params": counted.base_params,
        "trainable_percent": counted.trainable_percent,
        "estimate": _estimate(planned),
        "train_id": run.train_id,
        "departures": list(point.departures),
    }


def _estimate(planned: PlannedRun) -> dict[str, Any] | None:
    """What a run will cost, as far as its specification says it: optimizer steps and training examples."""
    train = planned.run.train
    if planned.action != "train" or train is None or train.steps is None:
        return None
    return {"steps": train.steps, "examples": train.steps * train.batch_size}


def _show(experiment: ExperimentSpec, plans: Plan, rows: list[dict[str, Any]], found: tuple[Point, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    from harness.spec.profiles import profile_departures

    table = Table(title=experiment.question or experiment.name, title_justify="left", box=None, padding=(0, 1))
    for name in ("run", "label", "seed", "trainable", "%", "action", "reason"):
        table.add_column(
            name, justify="right" if name in ("seed", "trainable", "%") else "left", no_wrap=name == "run"
        )
    for row in rows:
        table.add_row(
            row["run_id"],
            row["label"] + ("*" if row["departures"] else ""),
            dash(row["seed"]),
            dash(row["trainable_params"], ","),
            dash(row["trainable_percent"], ".4f"),
            row["action"],
            row["reason"],
        )
    console = Console()
    console.print(table, soft_wrap=not console.is_terminal)
    click.echo(f"\n{experiment.name} ({experiment.profile}): {plans.summary()}")
    for text in dict.fromkeys(f"* {p.label}: {', '.join(p.departures)}" for p in found if p.departures):
        click.echo(text)
    for departure in profile_departures(experiment):
        click.echo(f"  departs from profile paper: {departure}")
