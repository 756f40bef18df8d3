"""The organisation: its name and its fallback."""

from __future__ import annotations

from tocsin.web.organisation import pages

HANDLERS = [*pages.HANDLERS]
