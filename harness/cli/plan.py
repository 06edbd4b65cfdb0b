"""`harness plan`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from harness.cli.aligned import LONG, aligned
from harness.cli.main import Settings
from harness.cli.options import UNBOUNDED, as_json, dash, experiment_options, load_with_points, print_json, reading
from harness.cli.plan_cost import Costs, cost_lines
from harness.cli.plan_cost import as_json as cost_json
from harness.cli.plan_tuning import tuning_json, tuning_lines
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

    Counts trainable parameters without loading weights, and estimates tokens, memory and time. Exits with 0, also
    when something is missing.
    """
    from harness.pipeline.check import count
    from harness.pipeline.code import named_code
    from harness.pipeline.plan import plan as make_plan
    from harness.pipeline.tuning import tried
    from harness.schedule.points import with_configs
    from harness.schedule.tuned import to_be_chosen
    from harness.spec.grid import points, tunings

    experiment, found = load_with_points(settings, spec, profile, changes, limit)
    found = with_configs(experiment, found)
    with reading(settings) as store:
        done = tried(experiment, store, retry_failed)
        found, tuned = points(experiment, done) if done else found, tunings(experiment)
        plans = make_plan([point.run for point in found], store, retry_failed)
        waiting = make_plan(to_be_chosen(experiment, done), store)
        counts = _recorded(plans, store) if store else {}
        costs = Costs(plans, store)
    counts |= count([planned.run for planned in plans.runs if planned.run.run_id not in counts])
    plans = _refused(plans, counts)
    code = named_code(planned.run for planned in plans.runs)
    estimates = costs.estimate(plans, counts)
    rows = [
        _row(planned, point, counts[planned.run.run_id], cost_json(estimate))
        for planned, point, estimate in zip(plans.runs, found, estimates, strict=True)
    ]
    if as_json:
        named = {"experiment": experiment.name, "profile": experiment.profile}
        document = {**named, "runs": rows, "code": code, "tuning": tuning_json(tuned, done)}
        print_json(document, compact=len(rows) > LONG)
        return
    _show(experiment, rows)
    _explain(experiment, plans, waiting, found, code)
    for line in (*cost_lines(estimates, costs.room), *tuning_lines(experiment, tuned, done)):
        click.echo(line)


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


def _row(planned: PlannedRun, point: Point, counted: Counted, estimate: dict[str, Any] | None) -> dict[str, Any]:
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
        "estimate": estimate,
        "train_id": run.train_id,
        "departures": list(point.departures),
        "warning": foreign_base(run),
        "role": point.role,
    }


HEADS = ("run", "label", "seed", "trainable", "%", "action", "reason")
RIGHT = ("seed", "trainable", "%")


def _show(experiment: ExperimentSpec, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    title, cells = experiment.question or experiment.name, [_cells(row) for row in rows]
    if len(rows) > LONG:
        for line in (title, *aligned(HEADS, cells, RIGHT)):
            click.echo(line)
        return
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1))
    for name in HEADS:
        table.add_column(name, justify="right" if name in RIGHT else "left", no_wrap=name == "run")
    for row in cells:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else UNBOUNDED
    Console(width=width, markup=False, highlight=False, emoji=False).print(table)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["run_id"],
        row["label"] + ("*" if row["departures"] else ""),
        dash(row["seed"]),
        dash(row["trainable_params"], ","),
        dash(row["trainable_percent"], ".4f"),
        row["action"],
        "see below" if row["action"] == "blocked" else row["reason"],
    )


def _explain(
    experiment: ExperimentSpec, plans: Plan, waiting: Plan, found: Sequence[Point], code: Sequence[str]
) -> None:
    """What the table has no room for, a line each. waiting: runs that tuning has yet to decide on."""
    from harness.schedule.points import foreign_bases
    from harness.schedule.refusals import machine_problems, obstacle_problems
    from harness.spec.profiles import profile_departures

    click.echo(f"\n{experiment.name} ({experiment.profile}): {plans.summary()}")
    for planned, point in zip(plans.runs, found, strict=True):
        if planned.blocked_by == "method":
            click.echo(f"blocked: {experiment.located.problem(point.place, planned.reason)}")
        elif planned.action == "blocked" and not planned.obstacles:
            click.echo(f"blocked: {planned.run.run_id}: {planned.reason}")
    asked = Plan((*plans.runs, *waiting.runs))
    for problem in (*machine_problems(experiment, asked), *obstacle_problems(experiment, asked)):
        click.echo(f"missing: {problem}")
    for problem in foreign_bases(experiment, found):
        click.echo(f"warning: {problem}")
    for name in code:
        click.echo(f"runs code: {name}")
    for text in dict.fromkeys(f"* {p.label}: {', '.join(p.departures)}" for p in found if p.departures):
        click.echo(text)
    for departure in profile_departures(experiment):
        click.echo(f"  departs from profile paper: {departure}")
