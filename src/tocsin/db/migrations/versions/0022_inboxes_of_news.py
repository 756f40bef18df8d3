"""What each person is told of the incidents that they follow, and how they want to be told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"

_CHANGES = "change IN ('mentions', 'resolution', 'severity', 'status', 'roles', 'updates', 'action_items', 'comments')"


def upgrade() -> None:
    """Add the tables; nothing of the version before uses them."""
    op.create_table(
        "inbox_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True)),
        sa.Column("way", sa.Text()),
        sa.Column("send_at", sa.DateTime(timezone=True)),
        sa.Column("delivery_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("id", name=op.f("inbox_entry_pkey")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("inbox_entry_user_id_fkey")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("inbox_entry_incident_id_fkey")),
        sa.CheckConstraint(_CHANGES, name=op.f("inbox_entry_change_check")),
        sa.CheckConstraint("way IN ('email', 'webhook', 'hourly', 'daily')", name=op.f("inbox_entry_way_check")),
    )
    op.create_index("inbox_entry_user_id_idx", "inbox_entry", ["user_id", sa.text("id DESC")])
    op.create_index(
        "inbox_entry_unread_idx", "inbox_entry", ["user_id", "incident_id"], postgresql_where=sa.text("read_at IS NULL")
    )
    op.create_index("inbox_entry_incident_id_idx", "inbox_entry", ["incident_id"])
    op.create_index("inbox_entry_at_idx", "inbox_entry", ["at"])
    op.create_index(
        "inbox_entry_send_at_idx",
        "inbox_entry",
        ["user_id", "send_at"],
        postgresql_where=sa.text("send_at IS NOT NULL"),
    )
    op.create_index(
        "inbox_entry_delivery_id_idx",
        "inbox_entry",
        ["delivery_id"],
        postgresql_where=sa.text("delivery_id IS NOT NULL"),
    )
    op.create_table(
        "change_preference",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "change", name=op.f("change_preference_pkey")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("change_preference_user_id_fkey")),
        sa.CheckConstraint(_CHANGES, name=op.f("change_preference_change_check")),
        sa.CheckConstraint(
            "way IN ('none', 'inbox', 'email', 'webhook', 'hourly', 'daily')", name=op.f("change_preference_way_check")
        ),
    )
