"""An index by which the incidents of a text template are found."""

from __future__ import annotations

from tocsin.db.revising import create_index

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Build the index; nobody waits for it."""
    create_index("incident_template_id_idx", "incident", "template_id", where="template_id IS NOT NULL")
