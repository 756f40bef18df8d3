"""What a revision of the schema may use beside Alembic's own words. Frozen revisions depend on it: only add to it."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

# Building an index concurrently waits for everybody who began before, and holds up nobody who writes. A long wait
# does no harm, and a short one would throw away what has been built.
_PATIENCE = "10min"
_IS_UNFINISHED = "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid)"


def create_index(name: str, table: str, on: str, *, where: str | None = None, using: str = "btree") -> None:
    """Build an index while others read and write the table.

    What was done before it in the revision is committed first, so the revision may be interrupted between the two and
    is then run again from its beginning: an index that is there stays, and a half-built one is built anew.
    """
    condition = f" WHERE {where}" if where else ""
    create = f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} USING {using} ({on}){condition}"
    context = op.get_context()
    with context.autocommit_block():
        if context.as_sql:
            op.execute(create)
            return
        connection = op.get_bind()
        before = connection.execute(text("SHOW lock_timeout")).scalar_one()
        connection.execute(text(f"SET lock_timeout = '{_PATIENCE}'"))
        if connection.execute(text(_IS_UNFINISHED), {"name": name}).scalar_one():
            connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
        connection.execute(text(create))
        connection.execute(text("SELECT set_config('lock_timeout', :before, false)"), {"before": before})
