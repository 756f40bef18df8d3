"""The organisation: its name and its fallback."""

from __future__ import annotations

from tocsin.identity.access import P
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.organisation import pages

HANDLERS = [*pages.HANDLERS]
NAV = (
    Entry(
        "/organisation",
        "building-2",
        "General",
        Group.ORGANISATION,
        10,
        P.USER_MANAGE,
        words="Name of the organisation, last resort, how long alerts may wait",
    ),
)
