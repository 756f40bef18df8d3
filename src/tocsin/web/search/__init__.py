"""Search: whatever has a name or a number, and every place, from one field."""

from __future__ import annotations

from tocsin.web.search import pages

HANDLERS = [*pages.HANDLERS]
