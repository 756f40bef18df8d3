"""The record has a partition for each month, so that it can grow old in parts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import UserDefinedType

from tocsin.db.revising import create_index

revision = "0007"
down_revision = "0006"
SAFE_BECAUSE = (
    "The version before finds a table with the same columns under the same name, and PostgreSQL plans anew what it "
    "has prepared. Nothing is copied: the table that was there becomes the first part of the record."
)


class _Xid8(UserDefinedType[int]):
    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


# Positions of a month begin at a multiple of this, and those of the years before at nothing.
_ROOM = 1 << 40
_IS_RARE = "name NOT IN ('alert.triggered', 'alert.not_routed', 'alert.resolved')"
_INDEXES = {
    "event_incident_id_idx": (["incident_id", "position"], "incident_id IS NOT NULL"),
    "event_alert_id_idx": (["alert_id", "position"], "alert_id IS NOT NULL"),
    "event_name_idx": (["name", "position"], _IS_RARE),
    "event_transaction_idx": (["transaction", "position"], None),
}
# All that 0.1.0 wrote about neither an alert nor an incident; the second condition lets the index of rare names serve.
_NAME_SUBJECTS = """
INSERT INTO event_subject (kind, id, position)
SELECT about.kind, about.id, event.position
FROM event, subjects_of_event(event.name, event.data, event.actor_kind, event.actor_id) AS about
WHERE event.name IN ('configuration.created', 'configuration.changed', 'configuration.deleted',
                     'contact_method.recovered', 'user.deactivated', 'user.lost_rights', 'user.signed_in',
                     'user.sign_in_failed', 'user.session_revoked')
  AND event.name NOT IN ('alert.triggered', 'alert.not_routed', 'alert.resolved')
  AND about.kind IS NOT NULL AND about.id IS NOT NULL
ON CONFLICT DO NOTHING
"""
# A month that is over, or a clock that is centuries ahead, gets none: the record goes on where it is.
_ADD = """
CREATE FUNCTION add_event_partition(month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    partition constant text := 'event_' || to_char(month, 'YYYY_MM');
    first constant bigint := first_event_of(month);
BEGIN
    IF to_regclass(partition) IS NOT NULL OR first >= 1::bigint << 53
        OR (SELECT last_value FROM event_position_seq) >= first
    THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE event INCLUDING DEFAULTS)', partition);
    EXECUTE format('ALTER TABLE event ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                   partition, first, first + (1::bigint << 40));
    EXECUTE format('CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', partition);
    RETURN true;
END $$
"""
# The lock lets whoever writes finish, as they may not know a partition yet that came while they did, and keeps a
# second one from moving the positions back. Moving them cannot be rolled back, so the partition is there before.
_BEGIN = """
CREATE FUNCTION begin_event_month(month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    partition constant regclass := to_regclass('event_' || to_char(month, 'YYYY_MM'));
    first constant bigint := first_event_of(month);
BEGIN
    IF (SELECT last_value FROM event_position_seq) >= first
        OR NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'event'::regclass AND inhrelid = partition)
    THEN
        RETURN false;
    END IF;
    LOCK TABLE ONLY event IN SHARE ROW EXCLUSIVE MODE;
    IF (SELECT last_value FROM event_position_seq) >= first THEN
        RETURN false;
    END IF;
    PERFORM setval('event_position_seq', first, false);
    RETURN true;
END $$
"""


def upgrade() -> None:
    """Make the table of events the first part of a partitioned one, and open the part of this month."""
    # First, as it may be cut off: it lets a stream find what its reader sees of what is hidden from others.
    create_index("incident_hidden_idx", "incident", "id", where="is_private OR team_ids <> '{}'::uuid[]")
    _look_back()
    op.execute("LOCK TABLE event IN ACCESS EXCLUSIVE MODE")
    for name in ("event_pkey", *_INDEXES):
        op.execute(f"ALTER INDEX {name} RENAME TO {name.replace('event_', 'event_past_', 1)}")
    _make_whole()
    op.execute("SELECT setval('event_whole_position_seq', last_value, is_called) FROM event_position_seq")
    op.execute("ALTER TABLE event ALTER COLUMN position DROP IDENTITY")
    # The whole has it from now on, and its parts with it.
    op.execute("DROP TRIGGER event_names_subjects ON event")
    op.execute(f"ALTER TABLE event_whole ATTACH PARTITION event FOR VALUES FROM (MINVALUE) TO ({_ROOM})")
    op.execute("ALTER TABLE event DROP CONSTRAINT event_past_check")
    op.execute("ALTER TABLE event RENAME TO event_past")
    op.execute("ALTER TABLE event_whole RENAME TO event")
    op.execute("ALTER SEQUENCE event_whole_position_seq RENAME TO event_position_seq")
    op.execute("CREATE TABLE event_default PARTITION OF event DEFAULT")
    for table in ("event", "event_default"):
        op.execute(
            f"""
            CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
            """
        )
    op.execute(
        """
        CREATE TRIGGER event_names_subjects AFTER INSERT ON event
        FOR EACH ROW WHEN (NEW.team_ids IS NULL AND NEW.alert_id IS NULL AND NEW.incident_id IS NULL)
        EXECUTE FUNCTION name_subjects()
        """
    )
    op.execute(
        """
        CREATE FUNCTION first_event_of(month date) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
            SELECT ((extract(year FROM month)::bigint - 2000) * 12 + extract(month FROM month)::bigint) << 40
        $$
        """
    )
    op.execute(_ADD)
    op.execute(_BEGIN)
    # Events go there once the program moves them on: what moves positions cannot be taken back.
    op.execute("SELECT add_event_partition(date_trunc('month', tocsin_now() AT TIME ZONE 'UTC')::date)")


def _look_back() -> None:
    """Name the subjects of what was written, and read that all of it fits into the first part, while others write.

    Each by itself and before all else: both may be done again, and neither holds anybody up.
    """
    with op.get_context().autocommit_block():
        op.execute(_NAME_SUBJECTS)
        op.execute("ALTER TABLE event VALIDATE CONSTRAINT event_past_check")


def _make_whole() -> None:
    op.create_table(
        "event_whole",
        sa.Column("position", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("transaction", _Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=True),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("depth", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("team_ids", postgresql.ARRAY(sa.Uuid()), nullable=True),
        sa.Column("is_private", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("position", name=op.f("event_pkey")),
        postgresql_partition_by="RANGE (position)",
    )
    for name, (columns, where) in _INDEXES.items():
        op.create_index(name, "event_whole", columns, postgresql_where=sa.text(where) if where else None)
