"""What kind of incident it is, whether it is a drill, and its priority, with the indexes by which lists find them."""

from __future__ import annotations

from alembic import op

from tocsin.db.revising import create_index, fill

revision = "0019"
down_revision = "0018"

SAFE_BECAUSE = "It fills a portion of rows at a time, and nothing of the version before reads the column."

_CATEGORIES = "'availability', 'cost', 'performance', 'security', 'technical_debt', 'compliance', 'integration'"


def upgrade() -> None:
    """Add the columns. The version before writes none of them: its incidents are real, and of the usual priority."""
    op.execute(
        "ALTER TABLE incident ADD COLUMN IF NOT EXISTS category text "
        f"CONSTRAINT incident_category_check CHECK (category IN ({_CATEGORIES}, 'reliability'))"
    )
    op.execute("ALTER TABLE incident ADD COLUMN IF NOT EXISTS is_drill boolean NOT NULL DEFAULT false")
    op.execute(
        "ALTER TABLE incident ADD COLUMN IF NOT EXISTS urgency text NOT NULL DEFAULT 'high' "
        "CONSTRAINT incident_urgency_check CHECK (urgency IN ('high', 'low'))"
    )
    op.execute(
        "ALTER TABLE incident ADD COLUMN IF NOT EXISTS priority text NOT NULL DEFAULT 'P3' "
        "CONSTRAINT incident_priority_check CHECK (priority IN ('P1', 'P2', 'P3', 'P4'))"
    )
    op.execute("ALTER TABLE incident ADD COLUMN IF NOT EXISTS is_priority_set boolean NOT NULL DEFAULT false")
    create_index(
        "incident_category_idx", "incident", "category, declared_at DESC, id DESC", where="category IS NOT NULL"
    )
    create_index("incident_drill_idx", "incident", "declared_at DESC, id DESC", where="is_drill")
    create_index("incident_priority_idx", "incident", "priority, declared_at DESC, id DESC")
    fill(
        "incident",
        "priority = CASE severity WHEN 1 THEN 'P1' WHEN 2 THEN 'P2' WHEN 5 THEN 'P4' ELSE 'P3' END",
        where="severity NOT IN (3, 4)",
    )
