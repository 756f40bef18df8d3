"""The page that a link in a message leads to."""

from __future__ import annotations

from tocsin.web.acknowledge import pages

HANDLERS = [*pages.HANDLERS]
