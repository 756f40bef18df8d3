"""Incidents: the list, declaring, one incident and what is done on it."""

from __future__ import annotations

from tocsin.identity.access import P
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.incidents import (
    actions,
    comments,
    custom_fields,
    declaring,
    dialogs,
    incident,
    incident_list,
    key_events,
    notes,
    related,
    subscribing,
    times,
    together,
)

HANDLERS = [
    *incident_list.HANDLERS,
    *together.HANDLERS,
    *declaring.HANDLERS,
    *incident.HANDLERS,
    *dialogs.HANDLERS,
    *times.HANDLERS,
    *custom_fields.HANDLERS,
    *actions.HANDLERS,
    *comments.HANDLERS,
    *key_events.HANDLERS,
    *notes.HANDLERS,
    *related.HANDLERS,
    *subscribing.HANDLERS,
]
INCIDENT_TABS = incident.TABS
NAV = (
    Entry(
        "/incidents",
        "siren",
        "Incidents",
        Group.NOW,
        10,
        P.INCIDENT_VIEW,
        "g i",
        "open_incidents",
        words="What is wrong now, and what was",
        on_bar=True,
    ),
)
