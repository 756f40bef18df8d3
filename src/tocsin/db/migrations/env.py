"""Runs the migrations on the connection that `tocsin.db.migrate` hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from tocsin.kit.record import Record

connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Record.metadata,
    compare_server_default=False,
    # An index that is built concurrently ends the transaction that it is in.
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
