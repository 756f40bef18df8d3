"""Why somebody is paged and why an escalation ended, as facts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add columns that may stay empty, as they do in what the version before writes; it goes on writing sentences."""
    op.add_column("page", sa.Column("why", postgresql.JSONB()))
    op.alter_column("page", "reason", server_default="")
    op.add_column("escalation_run", sa.Column("end_why", postgresql.JSONB()))
