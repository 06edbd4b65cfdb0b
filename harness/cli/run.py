"""`harness run`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

import click

from harness.cli.duration import Duration
from harness.cli.main import Settings
from harness.cli.offer import offer
from harness.cli.options import as_json, experiment_options, load, print_json, reading
from harness.cli.sbatch_option import SbatchOption
from harness.errors import UnfitError
from harness.pipeline.plan import Plan
from harness.schedule.options import EXECUTORS, Options
from harness.schedule.run import Outcome
from harness.spec.expansion import Point
from harness.spec.experiment import ExperimentSpec
from harness.spec.tuning import Tried, tuned

MOST = 256
"""More processes than this on one machine are a slip of the finger."""


@click.command()
@click.argument("spec")
@experiment_options
@click.option(
    "--executor", type=click.Choice(EXECUTORS), default="local", show_default=True, help="Where runs are done."
)
@click.option(
    "--workers",
    type=click.IntRange(1, MOST),
    metavar="N",
    help="Worker processes, or a cluster's jobs, in all. Default: one per GPU, or one; of Slurm 100 jobs.",
)
@click.option(
    "--runs-per-device",
    type=click.IntRange(1, MOST),
    metavar="N",
    help="Worker processes on each GPU, for runs too small to fill one. Without a GPU: in all.",
)
@click.option(
    "--slurm",
    "sbatch",
    type=SbatchOption(),
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of sbatch for the jobs of --executor slurm: partition=gpu, gpus-per-node=1, time=4:00:00.",
)
@click.option("--only", metavar="GLOB", help="Only the runs whose label or id matches.")
@click.option("--retry-failed", is_flag=True, help="Also do again what failed before.")
@click.option("--fail-fast", is_flag=True, help="Begin no new run after a failure.")
@click.option(
    "--timeout", type=Duration(), metavar="TIME", help="The longest that a run may take: 90s, 30m, 2h, 1h30m, 1d."
)
@as_json
@click.pass_obj
def run(
    settings: Settings,
    spec: str,
    profile: str | None,
    changes: tuple[str, ...],
    limit: int | None,
    executor: str,
    workers: int | None,
    runs_per_device: int | None,
    sbatch: tuple[tuple[str, str], ...],
    only: str | None,
    retry_failed: bool,
    fail_fast: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Do what is missing of an experiment, then print its leaderboard.

    What is recorded is reused: interrupt it, run it again, add a method or a seed. Where this machine can't do it, it
    says in seconds what is lacking and which profiles fit. Exits with 1 if a run failed, 2 if something blocks it, 3
    if it was interrupted.
    """
    from harness.pipeline.tuning import tried
    from harness.schedule.machine import crowding
    from harness.schedule.points import foreign_bases, selected
    from harness.schedule.progress import progress
    from harness.schedule.run import run as do
    from harness.store.network import network_warning

    experiment = load(settings, spec, profile, changes, limit)
    done: dict[str, Tried] = {}
    if experiment.file.select:
        with reading(settings) as store:
            done = tried(experiment, store, retry_failed)
    chosen = selected(experiment, only, done)
    labels = {point.run.run_id: point.label for point in chosen}
    if not labels:
        raise click.UsageError(f"--only {only!r} matches no run of {experiment.name}")
    _check_workers(executor, workers, runs_per_device)
    _check_slurm(executor, runs_per_device, sbatch)
    options = Options(executor, workers, runs_per_device, only, retry_failed, fail_fast, timeout, sbatch)  # type: ignore[arg-type]
    crowded = None if options.elsewhere else crowding([point.run for point in chosen], workers or runs_per_device or 1)
    risks = [warning for warning in (network_warning(settings.db), crowded) if warning]
    for warning in [*risks, *foreign_bases(experiment, chosen)]:
        click.echo(f"warning: {warning}", err=True)
    try:
        with redirect_stdout(sys.stderr), progress(labels, quiet=settings.quiet) as listen:
            outcome = do(
                experiment,
                settings.db,
                options,
                listen,
                begin=lambda plan: _begin(settings, experiment, plan),
                chose=lambda points: _chose(settings, points, labels),
            )
    except UnfitError as error:
        may_ask = not (settings.quiet or as_json)
        offer(error, experiment, lambda name: load(settings, spec, name, changes, limit), may_ask)
        return
    _say(settings, experiment, outcome)
    _leaderboard(settings, experiment, list(labels), outcome, as_json)
    click.get_current_context().exit(outcome.exit_code)


def _check_workers(executor: str, workers: int | None, runs_per_device: int | None) -> None:
    if workers and runs_per_device:
        raise click.UsageError(
            "give --workers (processes in all) or --runs-per-device (processes on each GPU), not both"
        )
    if executor == "in-process" and (workers or runs_per_device or 1) > 1:
        named = "--workers" if workers else "--runs-per-device"
        raise click.UsageError(f"--executor in-process does one run after the other: {named} can't be more than 1")


def _check_slurm(executor: str, runs_per_device: int | None, sbatch: Sequence[tuple[str, str]]) -> None:
    if sbatch and executor != "slurm":
        raise click.UsageError("--slurm is for --executor slurm")
    if executor == "slurm" and runs_per_device:
        raise click.UsageError(
            "--runs-per-device: a job of --executor slurm does one run; --slurm says what of a node it is given"
        )


def _begin(settings: Settings, experiment: ExperimentSpec, plan: Plan) -> None:
    if not settings.quiet:
        click.echo(f"{experiment.name} ({experiment.profile}): {plan.summary()}", err=True)


def _chose(settings: Settings, points: Sequence[Point], labels: dict[str, str]) -> None:
    """Says which points tuning has chosen, and adds their runs to those that have labels."""
    labels.update({point.run.run_id: point.label for point in points})
    for told in dict.fromkeys(f"{point.label}: {tuned(point.tuning)}" for point in points if point.role == "tuned"):
        if not settings.quiet:
            click.echo(told, err=True)


def _say(settings: Settings, experiment: ExperimentSpec, outcome: Outcome) -> None:
    """How it went, on stderr: stdout belongs to the leaderboard."""
    done = sum(result.outcome == "complete" for result in outcome.results)
    failed = sum(result.outcome == "failed" for result in outcome.results)
    reused = len(outcome.plan.of("reuse"))
    if not settings.quiet:
        words = f"{reused} reused, {done} done" + (f", {failed} failed" if failed else "")
        click.echo(f"{experiment.name} ({experiment.profile}): {words}", err=True)
    for planned in outcome.plan.blocked_by("failure"):
        click.echo(f"{planned.run.run_id}: {planned.reason}", err=True)
    for problem in outcome.unchosen:
        click.echo(f"not run: {problem}", err=True)
    if outcome.interrupted:
        command = shlex.join(["harness", *sys.argv[1:]])
        click.echo(f"interrupted; the same command goes on from here: {command}", err=True)
    for result in outcome.results:
        if result.halts:
            click.echo(f"stopped: {result.message}. Once that is mended, the same command goes on", err=True)
            break
    if settings.verbose:
        _tracebacks(settings, outcome)


def _tracebacks(settings: Settings, outcome: Outcome) -> None:
    from harness.store.store import open_store

    with open_store(settings.db, read_only=True) as store:
        for result in outcome.results:
            if result.outcome == "failed":
                for attempt in store.attempts(result.run_id)[-1:]:  # none where no process got so far
                    click.echo(attempt.traceback or "", err=True)


def _leaderboard(
    settings: Settings, experiment: ExperimentSpec, run_ids: list[str], outcome: Outcome, as_json: bool
) -> None:
    from harness.cli.measure import note
    from harness.report.leaderboard import leaderboards
    from harness.report.render import render
    from harness.store.store import open_store

    with open_store(settings.db, read_only=True) as store:
        boards = leaderboards(store, experiment=experiment.name, run_ids=run_ids, published=as_json)
        unmeasured = note(store, experiment.name, [planned.run for planned in outcome.plan.runs])
    if unmeasured and not settings.quiet:
        click.echo(unmeasured, err=True)
    if as_json:
        runs = [vars(result) for result in outcome.results]
        board = boards[0].to_json() if boards else None
        print_json({"plan": outcome.plan.summary(), "runs": runs, "leaderboard": board})
    elif boards:
        click.echo(render(boards, "table"), nl=False)
