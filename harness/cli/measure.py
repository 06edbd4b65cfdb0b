"""`harness measure`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from harness.cli.main import Settings
from harness.cli.options import as_json, print_json
from harness.cli.show import find_run
from harness.errors import NotFoundError, nearest
from harness.spec.run import RunSpec
from harness.store.records import RunRecord
from harness.store.store import Store

MEASURED, SOME_FAILED = 0, 1


@click.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN_ID]...")
@click.option("--experiment", metavar="NAME", help="Every trained run of it that is not measured yet.")
@as_json
@click.pass_obj
def measure(settings: Settings, run_ids: tuple[str, ...], experiment: str | None, as_json: bool) -> int:
    """Measure what trainings changed in each matrix, from the adapters that are kept.

    The start is drawn anew from the run's seed and proved to be the one that was trained from; harness report
    --increments then shows the change. A training of an experiment that says `measure: [increments]` is measured at
    its end. Exit codes: 0 all were measured, 1 some could not be.
    """
    from harness.pipeline.measuring import measure
    from harness.store.store import open_store

    if bool(run_ids) == (experiment is not None):
        raise click.UsageError("name RUN_IDs, or an --experiment")
    with open_store(settings.db, read_only=True) as reading:
        runs = [find_run(reading, run_id) for run_id in run_ids] if run_ids else _unmeasured(reading, str(experiment))
    found = []
    with open_store(settings.db) as store:
        for measured in measure(store, runs):
            found.append(measured)
            if not as_json:
                told = measured.reason or f"{measured.matrices} matrices"
                click.echo(f"{measured.run_id}: {told}", err=measured.reason is not None)
    if as_json:
        print_json({"runs": [asdict(measured) for measured in found]})
    return SOME_FAILED if any(measured.reason for measured in found) else MEASURED


def note(store: Store, experiment: str, runs: Sequence[RunSpec]) -> str | None:
    """What `harness run` says where an experiment measures increments and trainings of these runs have none."""
    asked = {run.train_id for run in runs if run.measure and run.data is not None}
    trained = set(store.trainings(sorted(asked)))
    missing = trained - store.measured(sorted(trained))
    if not missing:
        return None
    count = "1 training" if len(missing) == 1 else f"{len(missing)} trainings"
    return (
        f"not measured: the increments of {count} that {'was' if len(missing) == 1 else 'were'} recorded before; "
        f"harness measure --experiment {experiment} does it where the adapter is kept"
    )


def _unmeasured(store: Store, experiment: str) -> list[RunRecord]:
    known = {name for name, _ in store.benchmarks()}
    if experiment not in known:
        raise NotFoundError(f"unknown experiment {experiment!r}, {nearest(experiment, known)}")
    runs = store.runs(list(dict.fromkeys(place.run_id for place in store.memberships(experiment))))
    measured = store.measured([run.train_id for run in runs])
    return [
        run
        for run in runs
        if run.training is not None and run.training.steps and run.train_id not in measured and run.seed is not None
    ]
