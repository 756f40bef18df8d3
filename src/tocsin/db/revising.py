"""What a revision of the schema may use beside Alembic's own words. Frozen revisions depend on it: only add to it."""

from __future__ import annotations

from uuid import UUID

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


def fill(table: str, values: str, *, where: str, portion: int = 5000) -> None:
    """Fill a column of a table that may be large, so many rows at a time and each time in a transaction of its own.

    What was done before it in the revision is committed first, as by `create_index`. Rows are taken by their `id`, and
    whoever wants one of them waits for one portion at most.
    """
    context = op.get_context()
    with context.autocommit_block():
        if context.as_sql:
            op.execute(f"UPDATE {table} SET {values} WHERE {where}")  # noqa: S608
            return
        one = text(
            f"""
            WITH portion AS (SELECT id FROM {table} WHERE id > :after ORDER BY id LIMIT :portion),
                 filled AS (UPDATE {table} SET {values} FROM portion WHERE {table}.id = portion.id AND {where})
            SELECT id FROM portion ORDER BY id DESC LIMIT 1
            """  # noqa: S608  Only revisions call it, with constants.
        )
        after: UUID | None = UUID(int=0)
        while after is not None:
            after = op.get_bind().execute(one, {"after": after, "portion": portion}).scalar_one_or_none()
