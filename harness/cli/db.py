"""`harness db`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.main import Settings
from harness.cli.options import as_json, print_json, reading

if TYPE_CHECKING:
    from harness.store.check import Finding
    from harness.store.store import Store

SOUND, UNSOUND = 0, 1


@click.group()
def db() -> None:
    """Upkeep of the results database."""


@db.command("upgrade")
@click.pass_obj
def upgrade_database(settings: Settings) -> None:
    """Bring the database to this version's schema and published numbers."""
    from harness.store.database import SCHEMA, shown
    from harness.store.store import upgrade_store

    upgrade_store(settings.db)
    click.echo(f"{shown(settings.db)}: schema {SCHEMA}")


@db.command("check")
@as_json
@click.pass_obj
def check_database(settings: Settings, as_json: bool) -> int:
    """Look for damage, orphans, claims of dead workers and scores that don't add up.

    Changes nothing. Exit codes: 0 sound, 1 something was found.
    """
    from harness.store.database import shown

    with reading(settings) as store:
        found = list(store.findings()) if store else []
        if store and not any(finding.damage for finding in found):
            found += _dead_claims(store)
    if as_json:
        keys = ("run_id", "problem", "advice")
        print_json({"findings": [{key: getattr(finding, key) for key in keys} for finding in found]})
    else:
        for finding in found:
            run = f"{finding.run_id} " if finding.run_id else ""
            click.echo(f"{run}{finding.problem}: {finding.advice}")
        if not found:
            click.echo(f"{shown(settings.db)}: sound")
    return UNSOUND if found else SOUND


def _dead_claims(store: Store) -> list[Finding]:
    """Runs that are recorded as running under a worker that is gone."""
    from harness.pipeline.workers import is_gone
    from harness.store.check import Finding

    running = [run.run_id for run in store.runs() if run.status == "running"]
    advice = "the experiment's harness run takes it over"
    return [
        Finding(state.run_id, f"claimed by {state.worker}, which is gone", advice)
        for state in store.states(running).values()
        if is_gone(state)
    ]


@db.command("merge")
@click.argument("other", metavar="OTHER")
@click.option("--keep-ours", is_flag=True, help="Leave out runs of which both have results that differ.")
@as_json
@click.pass_obj
def merge_database(settings: Settings, other: str, keep_ours: bool, as_json: bool) -> None:
    """Add the results of another database, a URL or a SQLite file, to this one.

    Runs that both have count once; what is recorded here never changes. Where both have results of a run that
    differ, all such runs are named and nothing is written, unless --keep-ours leaves them out. OTHER is only read.
    """
    from harness.store.database import shown
    from harness.store.store import open_store

    url = other if "://" in other else f"sqlite:///{other}"
    with open_store(url, read_only=True) as theirs, open_store(settings.db) as ours:
        found = ours.merge(theirs, keep_ours)
    if as_json:
        print_json(asdict(found))
        return
    for conflict in found.conflicts:
        click.echo(f"left out: {conflict}", err=True)
    added = {"run": found.runs, "training": found.trainings, "scored task": found.scores}
    counts = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in added.items())
    click.echo(f"{shown(settings.db)}: added {counts} of {shown(url)}")


@db.command("export")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@as_json
@click.pass_obj
def export_database(settings: Settings, folder: Path, as_json: bool) -> None:
    """Write everything that is recorded as JSON Lines into a folder.

    runs, trainings, increments, places (of runs in experiments), scores, samples, attempts and late_results, one
    object a line: pandas.read_json(path, lines=True) reads them.
    """
    from harness.store.export import export
    from harness.store.store import open_store

    with open_store(settings.db, read_only=True) as store:
        counts = export(store, folder)
    if as_json:
        print_json(counts)
        return
    for kind, count in counts.items():
        click.echo(f"{folder / kind}.jsonl: {count:,}")
