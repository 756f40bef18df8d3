"""When an incident was detected, where somebody says so, and when its cause was identified."""

from __future__ import annotations

from alembic import op

from tocsin.db.revising import fill

revision = "0014"
down_revision = "0013"

SAFE_BECAUSE = "It fills a new column a portion at a time, each in a transaction of its own."

# The first move to a status that says so, in the present round: what the version before did stands in its record.
_FIRST_MOVE = """
identified_at = (
    SELECT min(moved.at) FROM event AS moved
    WHERE moved.incident_id = incident.id AND moved.name = 'incident.status_changed'
      AND moved.data->>'new' IN ('identified', 'mitigated', 'monitoring')
      AND moved.at >= coalesce(incident.reopened_at, incident.declared_at)
)
"""


def upgrade() -> None:
    """Add the columns; the version before writes neither, and so what it moves on meanwhile has no time for it."""
    op.execute("ALTER TABLE incident ADD COLUMN IF NOT EXISTS detected_at timestamptz")
    op.execute("ALTER TABLE incident ADD COLUMN IF NOT EXISTS identified_at timestamptz")
    fill("incident", _FIRST_MOVE, where="identified_at IS NULL")
