"""Action items: what is to be done because of an incident, by whom and until when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the table; nothing of the version before uses it."""
    op.create_table(
        "action_item",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text()),
        sa.Column("priority", sa.Text()),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("assignee_id", sa.Uuid()),
        sa.Column("due_date", sa.Date()),
        sa.Column("created_by_kind", sa.Text(), nullable=False),
        sa.Column("created_by_id", sa.Uuid()),
        sa.Column("created_by_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("reminder", sa.BigInteger()),
        sa.Column("remind_at", sa.DateTime(timezone=True)),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("status IN ('open', 'in_progress', 'done', 'dropped')", name="status"),
        sa.CheckConstraint("kind IN ('mitigate', 'prevent', 'detect', 'follow_up')", name="kind"),
        sa.CheckConstraint("priority IN ('P1', 'P2', 'P3', 'P4')", name="priority"),
        sa.CheckConstraint("(status IN ('done', 'dropped')) = (ended_at IS NOT NULL)", name="ended"),
        sa.CheckConstraint("(reminder IS NULL) = (remind_at IS NULL)", name="reminder"),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("action_item_incident_id_fkey")),
        sa.ForeignKeyConstraint(["assignee_id"], ["user_account.id"], name=op.f("action_item_assignee_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("action_item_pkey")),
    )
    due = sa.text("coalesce(due_date, 'infinity'::date)")
    op.create_index("action_item_incident_id_idx", "action_item", ["incident_id", "id"])
    op.create_index("action_item_due_idx", "action_item", [due, "id"])
    op.create_index("action_item_open_idx", "action_item", [due, "id"], postgresql_where="ended_at IS NULL")
    op.create_index(
        "action_item_assignee_idx",
        "action_item",
        ["assignee_id", due, "id"],
        postgresql_where="assignee_id IS NOT NULL",
    )
    op.create_index("action_item_remind_at_idx", "action_item", ["remind_at"], postgresql_where="remind_at IS NOT NULL")
    op.create_index(
        "action_item_description_idx",
        "action_item",
        ["description"],
        postgresql_using="gin",
        postgresql_ops={"description": "gin_trgm_ops"},
    )
