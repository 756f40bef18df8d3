"""Indexes for the lists of resolved alerts: by source, severity, urgency and labels, and of rare events."""

from __future__ import annotations

from tocsin.db.revising import create_index

revision = "0003"
down_revision = "0002"

_IS_OVER = "status = 'resolved'"
_IS_RARE = "name NOT IN ('alert.triggered', 'alert.not_routed', 'alert.resolved')"


def upgrade() -> None:
    """Indexes for the lists of resolved alerts, and of rare events."""
    # What intake opens is in none of them, nor what it records.
    for what in ("source_id", "severity", "urgency"):
        create_index(
            f"alert_over_{what.removesuffix('_id')}_idx",
            "alert",
            f"{what}, created_at DESC, id DESC",
            where=_IS_OVER,
        )
    create_index("alert_over_labels_idx", "alert", "labels jsonb_path_ops", where=_IS_OVER, using="gin")
    create_index("event_name_idx", "event", "name, position", where=_IS_RARE)
