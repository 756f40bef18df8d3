"""The inbox: what waits for the reader, and what they have taken on."""

from __future__ import annotations

from tocsin.web.base.navigation import Entry, Group
from tocsin.web.inbox import pages

HANDLERS = [*pages.HANDLERS]
NAV = (
    Entry(
        "/inbox",
        "inbox",
        "Inbox",
        Group.NOW,
        1,
        keys="g x",
        count="pages",
        words="What waits for me, and what I have",
        is_hot=True,
        on_bar=True,
    ),
)
