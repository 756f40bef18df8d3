"""Long texts that belong to an incident, with every text that each of them had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Add the tables; nothing of the version before uses them."""
    op.create_table(
        "note",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("author_kind", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_by_name", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
        sa.CheckConstraint("(deleted_at IS NULL) = (deleted_by_name IS NULL)", name="deleted"),
        sa.ForeignKeyConstraint(["incident_id"], ["incident.id"], name=op.f("note_incident_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("note_pkey")),
    )
    op.create_index("note_incident_id_idx", "note", ["incident_id", "id"])
    op.create_table(
        "note_revision",
        sa.Column("note_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author_kind", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["note_id"], ["note.id"], name=op.f("note_revision_note_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("note_id", "number", name=op.f("note_revision_pkey")),
    )
