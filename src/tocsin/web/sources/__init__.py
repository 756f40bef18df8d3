"""Alert sources."""

from __future__ import annotations

from tocsin.web.sources import pages

HANDLERS = [*pages.HANDLERS]
