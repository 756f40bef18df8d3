"""Escalation policies."""

from __future__ import annotations

from tocsin.web.policies import pages

HANDLERS = [*pages.HANDLERS]
