"""The settings: all of them on one page, and how this browser shows Tocsin."""

from __future__ import annotations

from tocsin.web.base.navigation import Entry, Group
from tocsin.web.settings import pages

HANDLERS = [*pages.HANDLERS]
NAV = (
    Entry(
        "/settings/appearance", "contrast", "Appearance and keys", Group.YOU, 20, words="Light, dark, keys on or off"
    ),
)
