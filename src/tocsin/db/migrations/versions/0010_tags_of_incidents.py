"""Tags of incidents, and an index of those that have any."""

from __future__ import annotations

from alembic import op

from tocsin.db.revising import create_index

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column; the version before writes none, and so every incident of it has no tags."""
    op.execute("ALTER TABLE incident ADD COLUMN IF NOT EXISTS tags text[] NOT NULL DEFAULT '{}'")
    create_index("incident_tags_idx", "incident", "tags", using="gin", where="tags <> '{}'::text[]")
