"""Alert sources."""

from __future__ import annotations

from tocsin.identity.access import P
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.sources import pages

HANDLERS = [*pages.HANDLERS]
NAV = (
    Entry(
        "/sources",
        "radio-tower",
        "Sources",
        Group.NOW,
        22,
        P.SOURCE_VIEW,
        "g s",
        words="Tools that send signals",
        within="/alerts",
    ),
)
