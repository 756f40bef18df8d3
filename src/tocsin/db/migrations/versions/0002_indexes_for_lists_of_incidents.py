"""Indexes for the lists of incidents: the open ones, by severity, and by who leads, commands or reported them."""

from __future__ import annotations

from tocsin.db.revising import create_index

revision = "0002"
down_revision = "0001"

_OPEN = "status IN ('declared', 'investigating', 'identified', 'mitigated', 'monitoring')"


def upgrade() -> None:
    """Indexes for the lists of incidents."""
    create_index("incident_open_idx", "incident", "severity, declared_at DESC, id DESC", where=_OPEN)
    create_index("incident_severity_idx", "incident", "severity, declared_at DESC, id DESC")
    for person in ("lead_id", "commander_id", "reporter_id"):
        create_index(
            f"incident_{person}_idx",
            "incident",
            f"{person}, declared_at DESC, id DESC",
            where=f"{person} IS NOT NULL",
        )
