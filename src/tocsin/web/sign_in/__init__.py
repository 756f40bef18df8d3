"""Signing in and out, and links that are used once."""

from __future__ import annotations

from tocsin.web.sign_in import pages

HANDLERS = [*pages.HANDLERS]
