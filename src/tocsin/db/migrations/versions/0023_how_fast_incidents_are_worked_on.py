"""Response targets for each severity, and what was said of how incidents stand to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add two tables; nothing of the version before uses them."""
    op.create_table(
        "response_target",
        sa.Column("severity", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("acknowledge_minutes", sa.BigInteger()),
        sa.Column("update_minutes", sa.BigInteger()),
        sa.Column("mitigate_minutes", sa.BigInteger()),
        sa.Column("resolve_minutes", sa.BigInteger()),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("severity", name=op.f("response_target_pkey")),
    )
    op.create_table(
        "target_told",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("goal", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_missed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", "goal", "due_at", "is_missed", name=op.f("target_told_pkey")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("target_told_incident_id_fkey")),
    )
