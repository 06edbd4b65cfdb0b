"""`harness db`."""

from __future__ import annotations

import click

from harness.cli.main import Settings


@click.group()
def db() -> None:
    """Upkeep of the results database."""


@db.command("upgrade")
@click.pass_obj
def upgrade_database(settings: Settings) -> None:
    """Bring the database to this version's schema."""
    from harness.store.database import SCHEMA
    from harness.store.store import upgrade_store

    upgrade_store(settings.db)
    click.echo(f"{settings.db}: schema {SCHEMA}")
