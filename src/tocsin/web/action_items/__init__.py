"""Action items of all incidents: their list, and what is done with one or several of them."""

from __future__ import annotations

from tocsin.identity.access import P
from tocsin.web.action_items import dialogs, listing, together
from tocsin.web.base.navigation import Entry, Group

HANDLERS = [*listing.HANDLERS, *together.HANDLERS, *dialogs.HANDLERS]
NAV = (
    Entry(
        "/action-items",
        "list-checks",
        "Action items",
        Group.LEARN,
        10,
        P.INCIDENT_VIEW,
        "g t",
        "action_items",
        words="What is to be done because of incidents, by whom and until when",
    ),
)
