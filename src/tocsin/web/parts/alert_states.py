"""What `ui.alert_state` says of an alert, besides its row."""

from __future__ import annotations

from tocsin.alerts.model import Alert


def is_routed(alert: Alert) -> bool:
    """Say whether a route took the alert, or routing has still to look at it."""
    return alert.routed_at is None or alert.route_id is not None


def ack_for(alert: Alert) -> float | None:
    """Return how many seconds passed until somebody acknowledged."""
    return (alert.acknowledged_at - alert.created_at).total_seconds() if alert.acknowledged_at else None
