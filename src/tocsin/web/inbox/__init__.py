"""The inbox: what waits for the reader, and what they have taken on."""

from __future__ import annotations

from tocsin.web.base.navigation import Entry, Group
from tocsin.web.inbox import pages, preferences

HANDLERS = [*pages.HANDLERS, *preferences.HANDLERS]
NAV = (
    Entry(
        "/inbox",
        "inbox",
        "Inbox",
        Group.NOW,
        1,
        keys="g x",
        count="inbox",
        words="What waits for me, what I have, and news",
        on_bar=True,
    ),
    Entry(
        preferences.PLACE,
        "bell",
        "Notifications",
        Group.YOU,
        15,
        words="What I am told of incidents that I follow, and how",
    ),
)
