"""Escalation policies."""

from __future__ import annotations

from tocsin.identity.access import P
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.policies import pages, policy_list

HANDLERS = [*policy_list.HANDLERS, *pages.HANDLERS]
NAV = (
    Entry(
        "/policies",
        "calendar-clock",
        "On-call",
        Group.NOW,
        30,
        P.ONCALL_VIEW,
        "g o",
        words="Escalation policies: whom to page first, and whom next",
        on_bar=True,
        tab="Policies",
    ),
)
