"""Indexes for long lists: of action items by kind, by priority and of nobody, and of unread news."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"

_DUE = "(COALESCE(due_date, 'infinity'::date))"


def upgrade() -> None:
    """Add the indexes."""
    op.execute(f"CREATE INDEX action_item_kind_idx ON action_item (kind, {_DUE}, id) WHERE kind IS NOT NULL")
    op.execute(
        f"CREATE INDEX action_item_priority_idx ON action_item (priority, {_DUE}, id) WHERE priority IS NOT NULL"
    )
    op.execute(f"CREATE INDEX action_item_unassigned_idx ON action_item ({_DUE}, id) WHERE assignee_id IS NULL")
    op.execute("CREATE INDEX inbox_entry_unread_of_idx ON inbox_entry (user_id, id DESC) WHERE read_at IS NULL")
