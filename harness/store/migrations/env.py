"""Runs migrations on the connection that `harness.store.database.upgrade` opened."""

from alembic import context

from harness.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
