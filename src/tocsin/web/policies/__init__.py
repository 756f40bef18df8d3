"""Escalation policies."""

from __future__ import annotations

from tocsin.identity.access import P
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.policies import pages

HANDLERS = [*pages.HANDLERS]
NAV = (Entry("/policies", "arrow-up-from-line", "Policies", Group.PREPARE, 10, P.ONCALL_VIEW, "g p", on_bar=True),)
