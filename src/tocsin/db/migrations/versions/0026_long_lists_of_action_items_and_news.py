"""Indexes for long lists: of action items by kind, by priority and of nobody, and of unread news."""

from __future__ import annotations

from tocsin.db.revising import create_index

revision = "0026"
down_revision = "0025"

_DUE = "(COALESCE(due_date, 'infinity'::date))"


def upgrade() -> None:
    """Build the indexes; nobody waits for them."""
    create_index("action_item_kind_idx", "action_item", f"kind, {_DUE}, id", where="kind IS NOT NULL")
    create_index("action_item_priority_idx", "action_item", f"priority, {_DUE}, id", where="priority IS NOT NULL")
    create_index("action_item_unassigned_idx", "action_item", f"{_DUE}, id", where="assignee_id IS NULL")
    create_index("inbox_entry_unread_of_idx", "inbox_entry", "user_id, id DESC", where="read_at IS NULL")
