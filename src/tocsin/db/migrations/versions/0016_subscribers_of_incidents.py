"""Who follows an incident without responding: people and teams."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the table; nothing of the version before uses it."""
    op.create_table(
        "subscriber",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("team_id", sa.Uuid()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("added_by_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("subscriber_pkey")),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("subscriber_incident_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("subscriber_user_id_fkey")),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("subscriber_team_id_fkey")),
        sa.UniqueConstraint("incident_id", "user_id", name=op.f("subscriber_incident_id_user_id_key")),
        sa.UniqueConstraint("incident_id", "team_id", name=op.f("subscriber_incident_id_team_id_key")),
        sa.CheckConstraint("(user_id IS NULL) <> (team_id IS NULL)", name=op.f("subscriber_who_check")),
        sa.CheckConstraint("source IN ('self', 'added', 'mentioned')", name=op.f("subscriber_source_check")),
    )
    op.create_index("subscriber_user_id_idx", "subscriber", ["user_id"])
    op.create_index("subscriber_team_id_idx", "subscriber", ["team_id"])
