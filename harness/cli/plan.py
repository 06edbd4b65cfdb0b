"""`harness plan`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from harness.cli.main import Settings
from harness.cli.options import UNBOUNDED, as_json, dash, experiment_options, load, print_json, reading
from harness.pipeline.check import Counted
from harness.pipeline.plan import Plan, PlannedRun
from harness.spec.expansion import Point
from harness.spec.experiment import ExperimentSpec
from harness.spec.foreign import foreign_base
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
    from harness.pipeline.code import named_code
    from harness.pipeline.plan import plan as make_plan
    from harness.schedule.run import with_configs
    from harness.spec.grid import points

    experiment = load(settings, spec, profile, changes, limit)
    with_configs(experiment)
    found = points(experiment)
    with reading(settings) as store:
        plans = make_plan([point.run for point in found], store, retry_failed)
        counts = _recorded(plans, store) if store else {}
    counts |= count([planned.run for planned in plans.runs if planned.run.run_id not in counts])
    plans = _refused(plans, counts)
    code = named_code(planned.run for planned in plans.runs)
    rows = [_row(planned, point, counts[planned.run.run_id]) for planned, point in zip(plans.runs, found)]
    if as_json:
        print_json({"experiment": experiment.name, "profile": experiment.profile, "runs": rows, "code": code})
        return
    _show(experiment, rows)
    _explain(experiment, plans, found, code)


def _refused(plans: Plan, counts: dict[str, Counted]) -> Plan:
    """The plan, in which a run whose method does not fit its model is blocked."""
    return Plan(
        tuple(
            replace(planned, action="blocked", reason=problem, blocked_by="method")
            if (problem := counts[planned.run.run_id].problem) and planned.action in ("train", "score")
            else planned
            for planned in plans.runs
        )
    )


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
        "action": planned.action,
        "reason": planned.reason,
        "trainable_params": counted.trainable_params,
        "base_params": counted.base_params,
        "trainable_percent": counted.trainable_percent,
        "estimate": _estimate(planned),
        "train_id": run.train_id,
        "departures": list(point.departures),
        "warning": foreign_base(run),
    }


def _estimate(planned: PlannedRun) -> dict[str, Any] | None:
    """What a run will cost, as far as its specification says it: optimizer steps and training examples."""
    train = planned.run.train
    if planned.action != "train" or train is None or train.steps is None:
        return None
    return {"steps": train.steps, "examples": train.steps * train.batch_size}


def _show(experiment: ExperimentSpec, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

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
            "see below" if row["action"] == "blocked" else row["reason"],
        )
    width = None if sys.stdout.isatty() else UNBOUNDED
    Console(width=width, markup=False, highlight=False, emoji=False).print(table)


def _explain(experiment: ExperimentSpec, plans: Plan, found: Sequence[Point], code: Sequence[str]) -> None:
    """What the table has no room for, a line each."""
    from harness.schedule.run import foreign_bases, obstacle_problems
    from harness.spec.profiles import profile_departures

    click.echo(f"\n{experiment.name} ({experiment.profile}): {plans.summary()}")
    for planned, point in zip(plans.runs, found, strict=True):
        if planned.blocked_by == "method":
            click.echo(f"blocked: {experiment.located.problem(point.place, planned.reason)}")
        elif planned.action == "blocked" and not planned.obstacles:
            click.echo(f"blocked: {planned.run.run_id}: {planned.reason}")
    for problem in obstacle_problems(experiment, plans):
        click.echo(f"missing: {problem}")
    for problem in foreign_bases(experiment, found):
        click.echo(f"warning: {problem}")
    for name in code:
        click.echo(f"runs code: {name}")
    for text in dict.fromkeys(f"* {p.label}: {', '.join(p.departures)}" for p in found if p.departures):
        click.echo(text)
    for departure in profile_departures(experiment):
        click.echo(f"  departs from profile paper: {departure}")
