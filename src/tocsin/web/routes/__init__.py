"""Alert routes."""

from __future__ import annotations

from tocsin.identity.access import P
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.routes import pages

HANDLERS = [*pages.HANDLERS]
NAV = (
    Entry(
        "/routes",
        "split",
        "Routes",
        Group.NOW,
        21,
        P.ONCALL_VIEW,
        "g r",
        words="Which alerts page whom",
        within="/alerts",
    ),
)
