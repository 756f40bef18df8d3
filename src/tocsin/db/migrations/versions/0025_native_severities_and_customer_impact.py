"""The word of another product for the severity of an incident, and what the incident does to customers."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Add the columns; the version before writes none of them."""
    op.execute("ALTER TABLE incident ADD COLUMN native_vocabulary text")
    op.execute("ALTER TABLE incident ADD COLUMN native_severity text")
    op.execute("ALTER TABLE incident ADD COLUMN affected_users bigint")
    op.execute("ALTER TABLE incident ADD COLUMN affected_percent double precision")
    op.execute("ALTER TABLE incident ADD COLUMN affected_regions text[] NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE incident ADD COLUMN consequence text NOT NULL DEFAULT ''")
