"""The page that shows every component, for those who work on them."""

from __future__ import annotations

from tocsin.web.ui import pages

HANDLERS = [*pages.HANDLERS]
