"""Alert routes."""

from __future__ import annotations

from tocsin.web.routes import pages

HANDLERS = [*pages.HANDLERS]
