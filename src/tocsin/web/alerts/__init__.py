"""Alerts: the list and one alert."""

from __future__ import annotations

from tocsin.identity.access import P
from tocsin.web.alerts import alert, inbox
from tocsin.web.base.navigation import Entry, Group

HANDLERS = [*inbox.HANDLERS, *alert.HANDLERS]
NAV = (
    Entry(
        "/alerts",
        "bell-ring",
        "Alerts",
        Group.NOW,
        20,
        P.ALERT_VIEW,
        "g a",
        "waiting_alerts",
        words="Everything that fires, and who has it",
        is_hot=True,
        on_bar=True,
        tab="All alerts",
    ),
)
