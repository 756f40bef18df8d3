"""What is written into a timeline can have happened earlier, be a key event, and lead or lead no more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add two columns and a table; nothing of the version before uses them."""
    op.add_column("comment", sa.Column("occurred_at", sa.DateTime(timezone=True)))
    op.add_column("comment", sa.Column("is_key_event", sa.Boolean(), server_default="false", nullable=False))
    op.create_table(
        "timeline_mark",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("is_key", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", "position", name=op.f("timeline_mark_pkey")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("timeline_mark_incident_id_fkey")),
    )
