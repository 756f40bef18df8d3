"""Where else an incident goes on, and which other incidents it has to do with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Add the tables; nothing of the version before uses them."""
    op.create_table(
        "incident_link",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('ticket', 'chat', 'meeting', 'dashboard', 'document', 'other')", name="kind"),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("incident_link_incident_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("incident_link_pkey")),
    )
    op.create_index("incident_link_incident_id_idx", "incident_link", ["incident_id", "id"])
    op.create_table(
        "incident_relation",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("other_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('parent', 'related')", name="kind"),
        sa.CheckConstraint("incident_id <> other_id", name="others"),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("incident_relation_incident_id_fkey")),
        sa.ForeignKeyConstraint(["other_id"], ["incident.id"], name=op.f("incident_relation_other_id_fkey")),
        sa.PrimaryKeyConstraint("incident_id", "other_id", name=op.f("incident_relation_pkey")),
    )
    op.create_index("incident_relation_other_id_idx", "incident_relation", ["other_id"])
    op.create_index(
        "incident_relation_parent_key",
        "incident_relation",
        ["incident_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'parent'"),
    )
